//! Accounts of machines, and their keys.
