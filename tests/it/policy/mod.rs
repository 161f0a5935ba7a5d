//! Roles, access rules, explanations.
