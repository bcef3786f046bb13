//! What shows that the promises are kept by something: the mechanisms behind them taken away one by one, and a long
//! mixed load. Both are short here and long when `tests/proof/run.sh` and `tests/full.sh` run them.
#![allow(clippy::unwrap_used)]

mod mechanisms;
mod soak;
#[path = "../it/support/mod.rs"]
mod support;
