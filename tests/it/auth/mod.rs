//! Registration, sign-in, sessions, personal tokens, mail.

mod mail;
mod registration;
mod second_factor;
mod sessions;
mod setup;
mod sign_in;
mod tokens;
