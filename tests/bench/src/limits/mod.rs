//! What the machine can do: the parts that an operation cannot be faster than.

pub mod bare;
pub mod insert;
pub mod opens;
pub mod pgbench;
pub mod sqlite;
