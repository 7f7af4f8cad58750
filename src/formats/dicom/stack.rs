//! The geometry of a stack: order, spacing, duplicates, gaps, tilt and the affine.
//!
//! Slices are ordered by their position along the normal `row x column`, never by instance number; the step between
//! them is measured from the first to the last position, never taken from a thickness or spacing attribute.

use std::collections::HashMap;

use super::gap::{self, Even};
use super::instance::Instance;
use super::plane::{Plane, Vector, add, cross, dot, length, scale, subtract};
use super::series::PlaneId;
use crate::error::Warning;
use crate::geometry::Affine;

/// Positions along the normal closer than this (mm) are one position.
const SAME_POSITION: f64 = 0.01;
/// A step may differ from the mean step by this part of it, or by [`SAME_POSITION`].
const EVEN: f64 = 0.02;
/// Angle in degrees between the step and the normal beyond which a stack counts as tilted.
const TILTED: f64 = 0.05;
/// A plane may miss its place on the grid by this part of the smaller pixel spacing, sideways and by its directions.
const OFF_GRID: f64 = 0.25;
/// At most this many planes are compared to tell duplicates from an incomplete series.
const MAX_COMPARED: usize = 256;

/// Planes that line up.
#[derive(Debug)]
pub(super) struct Stack {
    /// `[k][t]`: k ascends along the normal, t is time.
    pub(super) slices: Vec<Vec<PlaneId>>,
    /// Voxel index (column, row, slice) to RAS+ mm.
    pub(super) affine: Affine,
    /// Angle in degrees between the step from slice to slice and the normal of the slices.
    pub(super) tilt: f64,
    pub(super) duplicates: usize,
    /// For slices that are not evenly spaced, their places on the even grid that `affine` belongs to.
    pub(super) places: Option<Vec<f64>>,
    /// False when the directions of `affine` are made up.
    pub(super) is_oriented: bool,
    pub(super) warnings: Vec<Warning>,
}

/// Why planes are no volume.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    /// What they would be on an even grid, where unevenness is the only fault.
    pub(super) resampled: Option<Box<Stack>>,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, resampled: None }
    }
}

/// Tells whether planes hold the same values; `None` for one that cannot be read.
pub(super) type Digests<'a> = dyn Fn(&[PlaneId]) -> Vec<Option<String>> + Sync + 'a;

#[derive(Clone, Copy)]
struct Placed<'a> {
    id: PlaneId,
    plane: &'a Plane,
    instance: &'a Instance,
    /// Position along the normal, mm.
    along: f64,
}

impl Placed<'_> {
    fn name(&self) -> String {
        let file = self.instance.path.file_name().unwrap_or_default().to_string_lossy();
        if self.plane.frame == 0 {
            file.escape_debug().to_string()
        } else {
            format!("{file} frame {}", self.plane.frame + 1)
        }
    }
}

/// Orders planes of one orientation into a stack; an error says why they are no volume.
pub(super) fn arrange(instances: &[Instance], ids: &[PlaneId], digests: &Digests<'_>) -> Result<Stack, Refusal> {
    let found = ids.iter().filter_map(|&id| id.of(instances).map(|(plane, instance)| (id, plane, instance)));
    let mut planes: Vec<_> = found.map(|(id, plane, instance)| Placed { id, plane, instance, along: 0.0 }).collect();
    let Some(&Placed { plane: first, .. }) = planes.first() else {
        return Err("it has no planes".to_owned().into());
    };
    let normal = cross(first.row, first.column);
    let normal = scale(normal, 1.0 / length(normal));
    for placed in &mut planes {
        placed.along = dot(normal, placed.plane.position);
    }
    let mut warnings = first.notes.clone();
    let is_oriented = first.is_oriented;
    let mut duplicates = drop_copies(&mut planes, digests)?;
    check_spacing(&planes)?;
    planes.sort_by(|a, b| a.along.total_cmp(&b.along));
    let mut positions = by_position(planes);
    duplicates += drop_repeats(&mut positions, digests)?;
    if duplicates > 0 {
        let message = format!("{duplicates} planes occur twice with the same values: one of each is kept");
        warnings.push(Warning::new("duplicate-slices", message));
    }
    sort_by_time(&mut positions)?;
    let mut gaps = None;
    let step = match positions.len() {
        1 if !first.notes.is_empty() => normal,
        1 => {
            let mm = first.thickness.unwrap_or(1.0);
            let source = if first.thickness.is_some() { "SliceThickness" } else { "1 mm" };
            let message = format!("a single slice has no measurable spacing: {source} is taken");
            warnings.push(Warning::new("single-slice", message));
            scale(normal, mm)
        }
        _ => match even_step(&positions) {
            Ok(step) => step,
            Err(reason) => {
                let Some(even) = even_grid(&positions) else { return Err(reason.into()) };
                let step = even.step;
                gaps = Some((reason, even.places));
                step
            }
        },
    };
    let origin = positions[0][0].plane;
    let places = gaps.as_ref().map(|(_, places)| places.as_slice());
    check_grid(&positions, places, origin, step, normal)?;
    let tilt = (dot(normal, step) / length(step)).clamp(-1.0, 1.0).acos().to_degrees();
    let tilt = if tilt > TILTED { tilt } else { 0.0 };
    if tilt > 0.0 {
        let message = format!("the slices are tilted by {tilt:.3} degrees against the way they are stacked");
        warnings.push(Warning::new("tilted", message));
    }
    let affine = ras_affine(origin, step)?;
    let slices = positions.iter().map(|times| times.iter().map(|placed| placed.id).collect()).collect();
    let Some((reason, places)) = gaps else {
        return Ok(Stack { slices, affine, tilt, duplicates, places: None, is_oriented, warnings });
    };
    let made = gap::interpolated(&places);
    let (count, listed) = (made.len(), listed(&made));
    let message = format!("{reason}; slices of the even grid that are interpolated: {count} (k = {listed})");
    warnings.push(Warning::new("resampled-slices", message));
    let resampled = Stack { slices, affine, tilt, duplicates, places: Some(places), is_oriented, warnings };
    Err(Refusal { reason, resampled: Some(Box::new(resampled)) })
}

/// The first few of some numbers.
fn listed(numbers: &[usize]) -> String {
    let few: Vec<_> = numbers.iter().take(8).map(usize::to_string).collect();
    format!("{}{}", few.join(", "), if numbers.len() > few.len() { ", ..." } else { "" })
}

fn even_grid(positions: &[Vec<Placed<'_>>]) -> Option<Even> {
    let along: Vec<_> = positions.iter().map(|times| times[0].along).collect();
    gap::even(&along, positions.first()?[0].plane.position, positions.last()?[0].plane.position)
}

/// The affine in RAS+ from directions and positions in LPS+: the only place where the two meet.
pub(super) fn ras_affine(origin: &Plane, step: Vector) -> Result<Affine, String> {
    let ras = |v: Vector| [-v[0], -v[1], v[2]];
    let [between_rows, between_columns] = origin.spacing;
    let columns = [ras(scale(origin.row, between_columns)), ras(scale(origin.column, between_rows)), ras(step)];
    Affine::from_columns(columns, ras(origin.position)).map_err(|e| e.message().to_owned())
}

/// Drops planes whose object occurs twice (the same file in two places).
fn drop_copies(planes: &mut Vec<Placed<'_>>, digests: &Digests<'_>) -> Result<usize, String> {
    let mut seen: HashMap<(&str, usize, Option<usize>), Placed<'_>> = HashMap::new();
    let mut pairs = Vec::new();
    planes.retain(|placed| {
        let id = placed.instance.sop_instance.as_str();
        if id.is_empty() {
            return true;
        }
        match seen.get(&(id, placed.plane.frame, placed.plane.tile)) {
            Some(kept) => {
                pairs.push((*kept, *placed));
                false
            }
            None => {
                seen.insert((id, placed.plane.frame, placed.plane.tile), *placed);
                true
            }
        }
    });
    let ids: Vec<_> = pairs.iter().flat_map(|(kept, dropped)| [kept.id, dropped.id]).collect();
    for (pair, digests) in pairs.iter().zip(digests(&ids).chunks(2)) {
        let (kept, dropped) = (pair.0.plane, pair.1.plane);
        let is_same = kept.position == dropped.position && kept.rescale == dropped.rescale;
        if digests[0].is_none() || digests[0] != digests[1] || !is_same {
            return Err(format!(
                "{} and {} have the same identifier and different content",
                pair.0.name(),
                pair.1.name()
            ));
        }
    }
    Ok(pairs.len())
}

fn check_spacing(planes: &[Placed<'_>]) -> Result<(), String> {
    let first = &planes[0];
    let differs = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs() > 1e-4 || (a[1] - b[1]).abs() > 1e-4;
    match planes.iter().find(|placed| differs(placed.plane.spacing, first.plane.spacing)) {
        Some(other) => Err(format!(
            "PixelSpacing differs: {:?} mm in {} and {:?} mm in {}",
            first.plane.spacing,
            first.name(),
            other.plane.spacing,
            other.name()
        )),
        None => Ok(()),
    }
}

/// Sorted planes, in groups of one position.
fn by_position(planes: Vec<Placed<'_>>) -> Vec<Vec<Placed<'_>>> {
    let mut positions: Vec<Vec<Placed<'_>>> = Vec::new();
    for placed in planes {
        match positions.last_mut() {
            Some(last) if placed.along - last[0].along < SAME_POSITION => last.push(placed),
            _ => positions.push(vec![placed]),
        }
    }
    positions
}

/// Where positions hold different numbers of planes, drops those whose values are already there.
fn drop_repeats(positions: &mut [Vec<Placed<'_>>], digests: &Digests<'_>) -> Result<usize, String> {
    let fewest = positions.iter().map(Vec::len).min().unwrap_or(0);
    let incomplete = |positions: &[Vec<Placed<'_>>]| {
        let most = positions.iter().max_by_key(|times| times.len())?;
        let least = positions.iter().min_by_key(|times| times.len())?;
        (most.len() != least.len()).then(|| {
            format!(
                "{} planes with different values lie at the position of {} and {} at that of {}",
                most.len(),
                most[0].name(),
                least.len(),
                least[0].name()
            )
        })
    };
    let crowded = positions.iter_mut().filter(|times| times.len() > fewest);
    let suspects: Vec<_> = crowded.flat_map(|times| times.iter().map(|placed| placed.id)).collect();
    let mut dropped = 0;
    if !suspects.is_empty() && suspects.len() <= MAX_COMPARED {
        let found = digests(&suspects);
        let mut found = found.iter();
        for times in positions.iter_mut().filter(|times| times.len() > fewest) {
            let mut kept = Vec::new();
            times.retain(|placed| {
                let value = (found.next().cloned().flatten(), placed.plane.rescale);
                let is_new = value.0.is_none() || !kept.contains(&value);
                kept.push(value);
                dropped += usize::from(!is_new);
                is_new
            });
        }
    }
    incomplete(positions).map_or(Ok(dropped), Err)
}

/// Sorts the planes of each position by time.
fn sort_by_time(positions: &mut [Vec<Placed<'_>>]) -> Result<(), String> {
    let times = positions[0].len();
    if times > 1 && positions.len() == 1 {
        return Err(format!("all {times} slices lie at one position"));
    }
    for position in positions {
        position.sort_by_key(|placed| placed.plane.order);
        if let Some(pair) = position.windows(2).find(|pair| pair[0].plane.order == pair[1].plane.order) {
            return Err(format!(
                "{} and {} lie at the same position and nothing tells them apart",
                pair[0].name(),
                pair[1].name()
            ));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of slices are far below 2^53")]
fn float(n: usize) -> f64 {
    n as f64
}

/// The mean step from slice to slice; an error names the smallest and the largest step when they are uneven.
fn even_step(positions: &[Vec<Placed<'_>>]) -> Result<Vector, String> {
    let (first, last) = (&positions[0][0], &positions[positions.len() - 1][0]);
    let count = float(positions.len() - 1);
    let mean = (last.along - first.along) / count;
    let steps = positions.windows(2).map(|pair| (pair[1][0].along - pair[0][0].along, &pair[0][0], &pair[1][0]));
    let (mut smallest, mut largest) = (None, None);
    for step in steps {
        if smallest.is_none_or(|(mm, _, _)| step.0 < mm) {
            smallest = Some(step);
        }
        if largest.is_none_or(|(mm, _, _)| step.0 > mm) {
            largest = Some(step);
        }
    }
    let tolerance = SAME_POSITION.max(EVEN * mean);
    if let (Some(smallest), Some(largest)) = (smallest, largest)
        && (mean - smallest.0 > tolerance || largest.0 - mean > tolerance)
    {
        return Err(format!(
            "uneven slice spacing: from {} mm ({} to {}) to {} mm ({} to {})",
            round(smallest.0),
            smallest.1.name(),
            smallest.2.name(),
            round(largest.0),
            largest.1.name(),
            largest.2.name()
        ));
    }
    Ok(scale(subtract(last.plane.position, first.plane.position), 1.0 / count))
}

fn round(mm: f64) -> f64 {
    (mm * 1e4).round() / 1e4
}

/// Refuses planes that lie off the grid sideways, or turned.
fn check_grid(
    positions: &[Vec<Placed<'_>>],
    places: Option<&[f64]>,
    origin: &Plane,
    step: Vector,
    normal: Vector,
) -> Result<(), String> {
    let [between_rows, between_columns] = origin.spacing;
    let tolerance = OFF_GRID * between_rows.min(between_columns);
    for (k, times) in positions.iter().enumerate() {
        let k = places.and_then(|places| places.get(k).copied()).unwrap_or(float(k));
        let expected = add(origin.position, scale(step, k));
        for placed in times {
            let Some(format) = placed.instance.format else { continue };
            let off = subtract(placed.plane.position, expected);
            let sideways = length(subtract(off, scale(normal, dot(off, normal))));
            let turned = |a: Vector, b: Vector, mm: f64, n: u32| length(subtract(a, b)) * mm * f64::from(n);
            let rows = turned(placed.plane.column, origin.column, between_rows, format.rows);
            let columns = turned(placed.plane.row, origin.row, between_columns, format.columns);
            let worst = sideways.max(rows).max(columns);
            if worst > tolerance {
                return Err(format!(
                    "{} lies {worst:.3} mm off the grid that the other slices make: they are shifted or turned",
                    placed.name()
                ));
            }
        }
    }
    Ok(())
}
