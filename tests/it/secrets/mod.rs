//! Secrets over HTTP.

mod values;
