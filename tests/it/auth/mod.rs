//! Registration, sign-in, sessions, personal tokens, mail.

mod addresses;
mod alike;
mod codes;
mod deletion;
mod email_first;
mod mail;
mod mail_server;
mod profile;
mod registration;
mod reset;
mod resistance;
mod second_factor;
mod session_list;
mod sessions;
mod setup;
mod sign_in;
mod sudo;
mod tokens;
