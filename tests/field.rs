//! What users of bridges suffer in the field, as statements that hold here, each a test or several with its number.
//!
//! | statements | module |
//! |---|---|
//! | 1 to 5: answers and ids | `answers` |
//! | 6, 7, 8, 10: what crosses besides answers | `messages` |
//! | 9, 11, 16, 19: long calls, large bodies, many requests, idle streams | `endurance` |
//! | 12 to 15: what dies, and what is left | `death` |
//! | 17, 18: a remote server restarts, a stream drops | `upstream` |
//! | 20, 21, 23: who may call, what is told, what is refused at once | `safety` |
//!
//! Not here: 22 (a modern client with a legacy server, and the reverse), which is in `eras`; 25 (five instances that need
//! OAuth at once), which is in `auth`; 24 (one bad server among several named ones), since a bridge
//! has one server so far.

mod answers;
mod death;
mod endurance;
mod messages;
mod safety;
mod upstream;
