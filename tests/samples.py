"""Scenario files of every verb, made of shipped ids: what the format allows."""

from __future__ import annotations

RUN = """\
# learnersim run run.toml   (also: optimum, scale, explain)
schema = 1
title = "ResNet-50 on 16 DGX A100"
seed = 20191115

[[workload]]
use = "resnet50-mlperf"

[cluster]
node = "dgx-a100-640"
nodes = 16
accelerators_per_learner = 1

[reduce]
kind = "node_log"
in_node_s = "3 ms"
node_jump_s = "6 ms"
per_doubling_s = "0.8 ms"
overlap = { kind = "power", exponent = 2.0 }

[run]
batch_samples = "best"
learners = "all"
whole_samples = true
min_batch_samples = 256
"""

SIMULATE = """\
# learnersim simulate simulate.toml --out runs/stragglers
schema = 1
title = "Stragglers and failures on an oversubscribed tree"
seed = 7

[[workload]]
use = "resnet50-mlperf"

[cluster]
node = "dgx-a100-640"
nodes = 8

[reduce]
kind = "fabric"
overlap = { kind = "buckets", buckets = 25, backward_fraction = 0.67 }

[network]
topology = "xgft"
down = [16, 4]
up = [1, 8]
host_link = "ib-hdr"
upper_link = "ib-hdr"
collective = "hierarchical"
placement = { kind = "linear" }
sends = "rendezvous"

[simulate]
batch_samples = 16_384
mode = "cohorts"
replications = { min = 2, max = 20, stop_relative_halfwidth = 0.05 }
updates = "drawn"

[simulate.noise]
kind = "lognormal"
relative_sd = 0.02
slow_learners = [{ learner = 17, factor = 1.3 }]
hiccups = { per_learner_hour = 0.1, duration_s = "2 s", tail = 1.5 }

[cross_validation]
every_updates = 1000
samples = 50_000

[simulate.failures]
kind = "exponential"
node_mtbf_s = "200 day"
checkpoint_every_s = "30 min"
checkpoint_s = "20 s"
restart_s = "5 min"
spare_nodes = 2
"""

DESIGN = """\
# learnersim design design.toml --report runs/design.html
schema = 1
title = "5 M USD for two jobs like ResNet"
seed = 1

[[workload]]
use = "resnet50-mlperf"
runs_per_year = 500

[[workload]]
use = "resnet50-mlperf"
name = "resnet50-nightly"
runs_per_year = 12

[design]
objective = "worst_time"
budget_usd = "5e6 USD"
deadline_s = "3 day"
life_s = "4 year"
power_max_w = "400 kW"

[design.choose]
node = ["dgx-h100", "dgx-a100-640", "aws-p2.8xlarge"]
nodes = { min = 4, max = 128 }
network = ["ib-hdr", "ib-ndr", "roce100"]
topology = ["fat_tree", "rails"]
oversubscription = [1, 2, 4]

[reduce]
kind = "fabric"
overlap = { kind = "power", exponent = 2.0 }

[network]
collective = "auto"

[cost]
kind = "ownership"
prices = "shipped"
electricity_usd_per_kwh = { value = 0.129, source = "US commercial 2024, from memory", verified = false }
pue = 1.58
facility_usd_per_node = 50_000
"""

CONTINUOUS = """\
# learnersim design continuous.toml
schema = 1
title = "learners, speed and two networks as real numbers"

[[workload]]
use = "resnet50-mlperf"
weight = 3

[[workload]]
use = "bert-mlperf"

[design]
objective = "weighted_time"
budget_usd = "5e6 USD"
deadline_s = "1 day"
power_max_w = "400 kW"

[design.continuous]
accelerator = "a100-sxm-80"
accelerators_per_learner = 1
learners_min = 1
learners_max = 4096
speed_min = 0.5
speed_max = 2.8

[design.continuous.compute]
usd = 50e3
usd_per_learner = { value = 20875, low = 18549, high = 20875, source = "a price list", verified = false }
price_exponent = 0.8
w = 5e3
w_per_learner = 812
power_exponent = 0.5

[[design.continuous.network]]
name = "fabric"
bandwidth_bytes_per_s = "25 GB/s"
bandwidth_min_bytes_per_s = "1 GB/s"
bandwidth_max_bytes_per_s = "400 GB/s"
latency_s = "20 us"
usd = 100e3
usd_per_learner = 2800
price_exponent = 1.0

[[design.continuous.network]]
name = "steps"
kind = "log"
delta_s = "0.3 ms"
delta_min_s = "40 us"
delta_max_s = "1 s"
usd = 20e3

[[design.continuous.part]]
name = "storage"
usd = 150e3
usd_per_learner = 500
"""

COMPARE = """\
# learnersim compare compare.toml
schema = 1
title = "All-reduce on two fabrics against parameter servers"
seed = 3

[[workload]]
use = "resnet50-mlperf"

[cluster]
node = "dgx-a100-640"
nodes = 32

[network]
topology = "fat_tree"
switch = "qm8700"
host_link = "ib-hdr"
collective = "ring"

[reduce]
kind = "fabric"

[cost]
kind = "purchase"
prices = "shipped"

[compare]
learners = [8, 16, 32, 64, 128, 256]
crossovers = ["learners", "batch_samples", "host_link.bandwidth_bytes_per_s"]

[[option]]
name = "HDR, full bisection"

[[option]]
name = "HDR, 4 : 1"
network = { oversubscription = 4 }

[[option]]
name = "100 GbE, 8 parameter servers"
network = { host_link = "roce100", collective = "ps", servers = 8 }
"""

ALLOCATE = """\
# learnersim allocate allocate.toml --policy marginal-gain --compare
schema = 1
title = "64 T4 GPUs, one day"
seed = 11

[[workload]]
use = "resnet50-mlperf"
name = "vision"
[[workload]]
use = "resnet50-mlperf"
name = "vision-again"
weight = 2.0

[cluster]
node = "aws-g4dn.12xlarge"
nodes = 16

[reduce]
kind = "two_tier_ring"
in_node_s = "20 ms"
across_nodes_s = "60 ms"

[allocate]
objective = "mean_time"
policy = "marginal-gain"
unit = "node"
restart_s = "30 s"
interval_s = "60 s"

[[job]]
name = "a"
workload = "vision"
arrival_s = 0.0
weight = 1.0
learners_min = 1
learners_max = 32
batch_samples = "best"

[[job]]
name = "b"
workload = "vision-again"
arrival_s = "10 min"
deadline_s = "6 hour"
"""

SWEEP = """\
# learnersim sweep sweep.toml
schema = 1
title = "How many nodes?"

[[workload]]
use = "resnet50-mlperf"

[cluster]
node = "dgx-a100-640"
nodes = 8

[reduce]
kind = "constant"
delta_s = "5 ms"

[sweep]
"cluster.nodes" = [1, 2, 4, 8]
reduce.delta_s = ["1 ms", "5 ms"]
"""

SAMPLES = {
    "simulate": SIMULATE,
    "design": DESIGN,
    "continuous design": CONTINUOUS,
    "compare": COMPARE,
    "allocate": ALLOCATE,
    "sweep": SWEEP,
}
"""A file for each verb."""
