//! Tables of billing.

pub mod customer;
pub mod event;
pub mod price;
pub mod subscription;
