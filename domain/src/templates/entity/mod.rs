//! Tables of templates.

pub mod template_key;
