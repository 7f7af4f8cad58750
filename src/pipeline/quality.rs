//! Whether a result looks like what the model was made for: volumes and confidence against the ranges that its
//! description states.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::error::Warning;
use crate::labels::Confidence;
use crate::model::{LabelRange, ModelSpec, QualitySpec};
use crate::volume::LabelMap;

/// Labels that a warning names; the others are counted.
const NAMED: usize = 4;

/// What a label came to.
struct Found {
    ml: f64,
    confidence: Option<Confidence>,
}

/// Code of the warning that what the model looks for is not there.
pub(super) const NOT_FOUND: &str = "not-found";

/// A warning where volumes or scores leave the range that was seen in evaluation. Where what the model looks for was not
/// found at all, the labels are taken back: what is left of them would be wrong.
pub(super) fn judge(
    spec: &ModelSpec,
    labels: &mut LabelMap,
    confidence: &BTreeMap<u16, Confidence>,
) -> Option<Warning> {
    let quality = spec.quality.as_ref()?;
    let name = &quality.object;
    if labels.is_empty() {
        return Some(Warning::new(NOT_FOUND, format!("no {name} found: no voxel got a label")));
    }
    let found = found(labels, confidence);
    let (ml, score) = object(spec, quality, &found);
    if ml < quality.least_ml || score < quality.least_score {
        labels.ids.data_mut().fill(0);
        let message = format!(
            "no {name} found: {ml:.1} ml were labeled with a score of {score:.2}, where a {name} has {} ml and {:.2} or \
             more; the labels were taken back",
            quality.least_ml, quality.least_score
        );
        return Some(Warning::new(NOT_FOUND, message));
    }
    let unusual = unusual(spec, quality, &found);
    let named = unusual.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match unusual.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let message = || format!("unusual anatomy, or not all of it in the picture: {named}{more}");
    (!unusual.is_empty()).then(|| Warning::new("unusual", message()))
}

/// Volume and confidence of each label that occurs.
#[expect(clippy::cast_precision_loss, reason = "voxel counts are below 2^53")]
fn found(labels: &LabelMap, confidence: &BTreeMap<u16, Confidence>) -> BTreeMap<u16, Found> {
    let ml = labels.grid().voxel_mm3() / 1000.0;
    let count = |mut counts: BTreeMap<u16, u64>, ids: &[u16]| {
        for run in ids.chunk_by(|a, b| a == b) {
            *counts.entry(run[0]).or_default() += run.len() as u64;
        }
        counts
    };
    let join = |mut all: BTreeMap<u16, u64>, part: BTreeMap<u16, u64>| {
        part.into_iter().for_each(|(id, n)| *all.entry(id).or_default() += n);
        all
    };
    let counts = labels.ids.data().par_chunks(1 << 16).fold(BTreeMap::new, count).reduce(BTreeMap::new, join);
    let of = |(id, n): (u16, u64)| (id, Found { ml: n as f64 * ml, confidence: confidence.get(&id).copied() });
    counts.into_iter().filter(|(id, _)| *id != 0).map(of).collect()
}

/// Volume of what the model looks for, and the mean score of its labels weighted by volume.
fn object(spec: &ModelSpec, quality: &QualitySpec, found: &BTreeMap<u16, Found>) -> (f64, f64) {
    let named = spec.volumes.iter().find(|sum| sum.name == quality.object);
    let parts = found.iter().filter(|(id, _)| named.is_none_or(|sum| sum.ids.contains(id)));
    let (ml, weighted) = parts.fold((0.0, 0.0), |(ml, weighted), (_, part)| {
        (ml + part.ml, weighted + part.ml * part.confidence.map_or(0.0, |c| c.score))
    });
    (ml, if ml > 0.0 { weighted / ml } else { 0.0 })
}

/// One phrase for each label that leaves its range.
fn unusual(spec: &ModelSpec, quality: &QualitySpec, found: &BTreeMap<u16, Found>) -> Vec<String> {
    let name = |id: u16| spec.labels.iter().find(|class| class.id == id).map_or("?", |class| class.name.as_str());
    let phrase = |range: &LabelRange| {
        let [low, high] = range.ml;
        let Some(part) = found.get(&range.id) else {
            return (low > 0.0).then(|| format!("{} is missing", name(range.id)));
        };
        let score = part.confidence.map_or(0.0, |c| c.score);
        if part.ml < low || part.ml > high {
            return Some(format!("{} has {:.1} ml (usual: {low:.1} to {high:.1})", name(range.id), part.ml));
        }
        // Rounded down, or a score just below the range would read like its end.
        let shown = (100.0 * score).floor() / 100.0;
        (score < range.score)
            .then(|| format!("{} has a score of {shown:.2} (usual: {:.2} or more)", name(range.id), range.score))
    };
    quality.labels.iter().filter_map(phrase).collect()
}
