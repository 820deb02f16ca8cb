"""Money: prices with source, date and range."""
