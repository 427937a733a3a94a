//! Several servers as one: what they are called there, and what their answers come to together.
//!
//! Owns the rules, which need no memory: the same servers give the same names in every process. Pure: no I/O, no clock, no
//! logging. It never asks a server; the registry does, and moves the messages.
//!
//! | what | rule |
//! |---|---|
//! | tools, prompts | `<prefix><name>`; the prefix is made of the server's name (`names`) |
//! | resources, templates | under their own URIs; the first server that lists one has it (`owners`) |
//! | lists | one page of each server together; the cursor says who has more, and where (`lists`) |
//! | what the servers are | capabilities together, instructions one after the other (`offers`) |
//! | ids of what servers ask | marked with the server's number, since each counts by itself (`marks`) |

mod lists;
mod marks;
mod names;
mod offers;
mod owners;

pub use self::{
    lists::{Listing, cursors, merged},
    marks::{marked, unmarked},
    names::{Names, Template, TemplateError},
    offers::{Offer, discovered, initialized},
    owners::Owners,
};
