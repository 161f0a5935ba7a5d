//! The first run: settings, the restart that takes them up, and the first administrator.

mod applying;
mod named;
mod restarting;
