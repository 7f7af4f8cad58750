//! What is told about a result: the certificate of its geometry and a picture to look at.

mod certificate;
mod preview;

pub use certificate::Certificate;
pub use preview::{Convention, PreviewOptions, preview, write_preview};
