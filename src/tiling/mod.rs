#![doc = include_str!("README.md")]

mod exact;
mod importance;
mod layout;
mod network;
mod overlap_tile;
mod padding;
mod slices;
mod sliding_window;
mod whole;

use serde::{Deserialize, Serialize};

pub use exact::Exact;
pub use importance::Importance;
pub use layout::{Layout, Row, Tile, Window};
pub use network::{Dimensions, NetworkShape};
pub use overlap_tile::{LastTile, OverlapTile};
pub use padding::{Padding, gather};
pub use slices::{SliceAxis, Slices};
pub use sliding_window::{SlidingWindow, Starts};
pub use whole::Whole;

/// How a volume is cut up for a network; part of a model's description.
///
/// ```
/// use unet_vol::tiling::Tiling;
/// let text = r#"{ "method": "sliding-window", "patch": [96, 96, 96], "overlap": 0.25, "importance": "monai" }"#;
/// let tiling: Tiling = serde_json::from_str(text)?;
/// assert!(matches!(tiling, Tiling::SlidingWindow(window) if window.patch == [96; 3]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Tiling {
    /// Abutting tiles, each read with a halo.
    OverlapTile(OverlapTile),
    /// Overlapping windows, blended by weight.
    SlidingWindow(SlidingWindow),
    /// Slice by slice, for 2-D networks.
    Slices(Slices),
    /// The volume at once.
    Whole(Whole),
    /// The scores of [`Tiling::Whole`] from smaller patches.
    Exact(Exact),
}

impl Default for Tiling {
    fn default() -> Self {
        Self::Whole(Whole::default())
    }
}
