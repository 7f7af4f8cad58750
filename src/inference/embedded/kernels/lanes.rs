//! Memory of the engine: voxels of sixteen channels, and the arena that holds all buffers of a run.
#![expect(unsafe_code, reason = "views of an anonymous map and of lanes as plain values")]

use memmap2::MmapMut;

use crate::error::{Error, Result};

/// Channels that lie together in memory.
pub(crate) const LANES: usize = 16;

/// Sixteen channels of one voxel: one 512-bit register, one cache line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    /// The same value in every channel.
    pub(crate) fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
}

/// Values per channel as lanes, the last ones filled up with `fill`.
pub(crate) fn per_channel(values: &[f32], fill: f32) -> Vec<Lanes> {
    values
        .chunks(LANES)
        .map(|chunk| {
            let mut lanes = Lanes::splat(fill);
            lanes.0[..chunk.len()].copy_from_slice(chunk);
            lanes
        })
        .collect()
}

/// Lanes as values.
pub(crate) fn values(lanes: &[Lanes]) -> &[f32] {
    // SAFETY: `Lanes` is `repr(C)` around `[f32; 16]` with size 64 and no padding, so the same bytes are 16 valid,
    // aligned `f32` per element; the lifetime is that of the borrow.
    unsafe { std::slice::from_raw_parts(lanes.as_ptr().cast(), lanes.len() * LANES) }
}

/// Lanes as values.
pub(crate) fn values_mut(lanes: &mut [Lanes]) -> &mut [f32] {
    // SAFETY: as in `values`; every `f32` is valid in `Lanes`, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(lanes.as_mut_ptr().cast(), lanes.len() * LANES) }
}

/// Extent of an activation `[C, D, H, W]` with zeros beside each row: `left` before it, `right` after it.
///
/// Blocked activations are `[C / 16][D + spare][H][left + W + right]` lanes, plain ones `[C][D][H][left + W + right]`
/// values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) channels: usize,
    pub(crate) depth: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
    /// Planes of room in each block, for a convolution in place.
    pub(crate) spare: usize,
}

impl Extent {
    /// `[1, C, (D,) (H,) W]` without borders; `None` for other ranks and batches.
    pub(crate) fn new(shape: &[usize]) -> Option<Self> {
        let (depth, height, width) = match shape {
            [1, _, w] => (1, 1, *w),
            [1, _, h, w] => (1, *h, *w),
            [1, _, d, h, w] => (*d, *h, *w),
            _ => return None,
        };
        Some(Self { channels: shape[1], depth, height, width, left: 0, right: 0, spare: 0 })
    }

    /// Blocks of sixteen channels.
    pub(crate) fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Length of a row with its borders.
    pub(crate) fn row(&self) -> usize {
        self.left + self.width + self.right
    }

    /// Rows of a channel.
    pub(crate) fn rows(&self) -> usize {
        self.depth * self.height
    }

    /// Length of one channel (plain) or one block of channels (blocked).
    pub(crate) fn block(&self) -> usize {
        (self.depth + self.spare) * self.height * self.row()
    }

    /// Voxels without borders.
    pub(crate) fn voxels(&self) -> usize {
        self.rows() * self.width
    }

    /// Start of the voxels of a row (`d * height + h`) within a channel or block.
    pub(crate) fn start(&self, row: usize) -> usize {
        row * self.row() + self.left
    }
}

/// Zeroed memory for all buffers, in huge pages where the system gives them.
#[derive(Debug)]
pub(crate) struct Arena {
    map: MmapMut,
    len: usize,
}

impl Arena {
    /// Room for `len` lanes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub(crate) fn new(len: usize) -> Result<Self> {
        let refused = || Error::limit(format!("the network needs {len} x 64 bytes, which this machine does not give"));
        let bytes = len.max(1).checked_mul(size_of::<Lanes>()).ok_or_else(refused)?;
        let map = MmapMut::map_anon(bytes).map_err(|e| refused().because(e))?;
        #[cfg(all(target_os = "linux", not(miri)))]
        if let Err(error) = map.advise(memmap2::Advice::HugePage) {
            tracing::debug!(%error, "no huge pages");
        }
        Ok(Self { map, len })
    }

    /// Lanes of the arena.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All lanes.
    pub(crate) fn lanes(&mut self) -> &mut [Lanes] {
        debug_assert!(self.map.len() >= self.len * size_of::<Lanes>());
        debug_assert_eq!(self.map.as_ptr().align_offset(align_of::<Lanes>()), 0);
        // SAFETY: the map starts at a page, so it is aligned to 64; it holds `len` lanes (`new`); its bytes are
        // initialized (zero pages) and any bytes are valid `f32`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
    }
}
