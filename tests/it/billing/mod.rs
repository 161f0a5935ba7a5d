//! Billing: buying, managing, and what Stripe says of it.

mod checkout;
mod disabled;
mod portal;
mod reminders;
mod webhook;
