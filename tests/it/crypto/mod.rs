//! What the application says to a database that was tampered with.

mod tampering;
