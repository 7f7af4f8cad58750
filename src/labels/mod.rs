//! Label maps after the network: connected components, filters, holes, instances and statistics.
//!
//! Everything here works on *runs*, the stretches of equal id along i, and touches single voxels only where an id
//! changes. Results do not depend on the number of threads.

mod components;
mod fill;
mod filters;
mod forest;
mod instances;
mod near;
pub(crate) mod runs;
mod statistics;

pub use components::{Component, Components, Connectivity};
pub use filters::{PostprocessReport, Scope, Step, StepReport, postprocess};
pub use instances::{InstanceOptions, InstanceOrder, Instances, instances};
pub use runs::LabelId;
pub use statistics::{Intensity, LabelStatistics, Statistics, statistics};
