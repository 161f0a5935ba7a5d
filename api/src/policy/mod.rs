//! Roles of an organisation's own, allow and deny rules, and the reasons of decisions.
