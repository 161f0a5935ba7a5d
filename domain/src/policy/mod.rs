//! Who may do what, as an organisation sets it: its own roles, allow and deny rules, and the reasons of decisions.

pub mod assignable;
pub mod entity;
