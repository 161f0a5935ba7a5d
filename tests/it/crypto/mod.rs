//! What the application says to a database that was tampered with, and to root keys that change.

mod root_keys;
mod tampering;
