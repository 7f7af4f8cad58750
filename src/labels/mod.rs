//! From scores to labels, and label maps afterwards: components, filters, holes, instances and statistics.
//!
//! Label maps are worked on as *runs*, the stretches of equal id along i; single voxels are touched only where an id
//! changes. Results do not depend on the number of threads.

mod activation;
mod components;
mod confidence;
pub mod decide;
mod fill;
mod filters;
mod forest;
mod instances;
mod near;
pub(crate) mod runs;
mod statistics;

pub use activation::Activation;
pub use components::{Component, Components, Connectivity};
pub(crate) use confidence::count_not_finite;
pub use confidence::{Confidence, ConfidenceMeter};
pub use decide::{DecideOptions, DecidedPlane, Decider, EdgeDecider, EdgeOptions, Interpolation, Rule};
pub use filters::{PostprocessReport, Scope, Step, StepReport, postprocess, postprocess_until};
pub use instances::{InstanceOptions, InstanceOrder, Instances, instances, instances_until};
pub use runs::LabelId;
pub use statistics::{Intensity, LabelStatistics, Statistics, statistics};
