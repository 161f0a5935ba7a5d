//! Templates: which keys the environments of a project must have, and what their values must be like. A template is
//! asked by [`validate`], and can refuse writes and promotions into protected environments: [`gate`].

mod change;
pub mod entity;
pub mod example;
pub mod fault;
pub mod gate;
mod rule;
mod scope;
pub mod template_key;
pub mod validate;

pub use change::{Outcome, TemplateKeyContent, create, delete, put};
pub use fault::{Breach, Fault};
pub use gate::Rules;
pub use rule::Rule;
