//! The HTTP service of Strongroom: operations, the edge around them, and the start.

pub mod apis;
pub mod app;
pub mod audit;
pub mod auth;
pub mod docs;
pub mod health;
pub mod http;
pub mod members;
pub mod oauth;
pub mod orgs;
pub mod pages;
pub mod policy;
pub mod projects;
pub mod realms;
pub mod secrets;
pub mod serve;
pub mod server;
pub mod service_accounts;
pub mod setup;
pub mod tags;
pub mod templates;
pub mod webhooks;
