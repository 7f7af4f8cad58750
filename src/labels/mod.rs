<<<<<<< HEAD
//! Label maps after the network: connected components, filters, holes, instances and statistics.
//!
//! Everything here works on *runs*, the stretches of equal id along i, and touches single voxels only where an id
//! changes. Results do not depend on the number of threads.

mod components;
pub(crate) mod distance;
mod fill;
mod filters;
mod instances;
pub(crate) mod runs;
mod statistics;

pub use components::{Component, Components, Connectivity};
pub use filters::{PostprocessReport, Scope, Step, StepReport, postprocess};
pub use instances::{InstanceOptions, InstanceOrder, Instances, instances};
pub use runs::LabelId;
pub use statistics::{Intensity, LabelStatistics, Statistics, statistics};
=======
//! From scores to labels, and what is done with labels afterwards.

mod activation;
pub mod decide;

pub use activation::Activation;
pub use decide::{DecideOptions, DecidedPlane, Decider, Interpolation, Outside, Rule};
>>>>>>> numerics
