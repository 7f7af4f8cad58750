//! From scores to labels, and what is done with labels afterwards.

mod activation;
pub mod decide;

pub use activation::Activation;
pub use decide::{DecideOptions, DecidedPlane, Decider, Interpolation, Rule};
