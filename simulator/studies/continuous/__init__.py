"""Design with real numbers (Eqns 11 and 12): T_C at M_opt against any smooth costs, with equal gains per dollar."""
