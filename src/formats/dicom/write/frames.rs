//! Which frames a segmentation has, in which order.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::volume::{DicomSlice, DicomSource, Label, LabelMap};

/// One frame.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// The slice.
    pub(super) k: usize,
    /// The label whose voxels are 1; 0 for a label map.
    pub(super) label: u16,
    /// Number of the segment and of the position, from 1.
    pub(super) index: [u32; 2],
    /// The image that the slice is.
    pub(super) source: &'a DicomSlice,
}

/// All frames, and the segments that they are of.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    /// In ascending order of id.
    pub(super) segments: Vec<Label>,
    /// By segment, then by slice in the order of the source.
    pub(super) list: Vec<Frame<'a>>,
}

impl<'a> Frames<'a> {
    /// The frames of `labels`, whose k counts the slices of `source`: one per segment and slice, or one per slice. Those without a voxel are left out unless
    /// `keep_empty`, or no voxel has a label: then the first segment keeps all its frames, as an image has at least one.
    pub(super) fn of(labels: &LabelMap, source: &'a DicomSource, per_segment: bool, keep_empty: bool) -> Self {
        let [columns, rows, _] = labels.grid().shape();
        let planes = labels.ids.data().par_chunks(columns * rows);
        let present: Vec<BTreeSet<u16>> = planes.map(ids).collect();
        let segments = segments(labels, &present);
        let order = order(source);
        let is_empty = present.iter().all(BTreeSet::is_empty);
        let of_segment = |(number, id): (usize, u16)| {
            let holds = |ids: &BTreeSet<u16>| if per_segment { ids.contains(&id) } else { !ids.is_empty() };
            let keep_all = keep_empty || (is_empty && number == 0);
            let kept = order.iter().copied().filter(|&k| keep_all || present.get(k).is_some_and(holds));
            kept.map(|k| (k, id, number)).collect::<Vec<_>>()
        };
        let list: Vec<(usize, u16, usize)> = if per_segment {
            segments.iter().map(|label| label.id).enumerate().flat_map(of_segment).collect()
        } else {
            of_segment((0, 0))
        };
        let used: BTreeSet<usize> = list.iter().map(|&(k, ..)| k).collect();
        let used: Vec<usize> = order.into_iter().filter(|k| used.contains(k)).collect();
        let mut rank = vec![0; source.slices.len()];
        for (n, k) in (1..).zip(used) {
            rank[k] = n;
        }
        let frame = |(k, label, number): (usize, u16, usize)| {
            let index = [u32::try_from(number + 1).unwrap_or(u32::MAX), rank[k]];
            Some(Frame { k, label, index, source: source.slices.get(k)? })
        };
        Self { segments, list: list.into_iter().filter_map(frame).collect() }
    }
}

/// The ids in a plane, without background.
fn ids(plane: &[u16]) -> BTreeSet<u16> {
    let mut last = 0;
    let mut found = BTreeSet::new();
    for &id in plane {
        if id != last {
            last = id;
            found.insert(id);
        }
    }
    found.remove(&0);
    found
}

/// The labels of the table and those of ids that it lacks.
fn segments(labels: &LabelMap, present: &[BTreeSet<u16>]) -> Vec<Label> {
    let table = &labels.table;
    let mut ids: BTreeSet<u16> = present.iter().flatten().copied().collect();
    ids.extend(table.labels().iter().map(|label| label.id));
    if ids.is_empty() {
        ids.insert(1);
    }
    let made = |id| Label { id, name: table.name(id), rgb: table.rgb(id), code: None };
    ids.into_iter().map(|id| table.get(id).cloned().unwrap_or_else(|| made(id))).collect()
}

/// The slices as the source counts them: from the first to the last, or the other way.
fn order(source: &DicomSource) -> Vec<usize> {
    let depth = source.slices.len();
    let is_descending = match (source.slices.first(), source.slices.last()) {
        (Some(first), Some(last)) => first.number > last.number,
        _ => false,
    };
    if is_descending { (0..depth).rev().collect() } else { (0..depth).collect() }
}
