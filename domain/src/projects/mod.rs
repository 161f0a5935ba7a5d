//! Projects and their environments.

pub mod entity;
pub mod environment;
pub mod joining;
pub mod lookup;
pub mod project;
pub mod settings;
pub mod template_gate;
