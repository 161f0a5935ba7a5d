//! Registration, sign-in, sessions, personal tokens, mail.

mod mail;
mod registration;
mod resistance;
mod second_factor;
mod session_list;
mod sessions;
mod setup;
mod sign_in;
mod sudo;
mod tokens;
