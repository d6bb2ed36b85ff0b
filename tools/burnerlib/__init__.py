"""A virtual burner served over iSCSI, and hands on it."""
