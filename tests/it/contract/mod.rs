//! The published document, the layers of the code, and what is true of both.

mod deploy;
mod layers;
mod openapi;
mod paging;
mod problems;
mod rates;
mod responses;
mod sdk;
mod unavailable;
mod validators;
