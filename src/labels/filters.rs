//! Post-processing of a label map as a list of declared steps, for a model's description or an option of a program.

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::components::{Components, Connectivity};
use super::fill::fill_holes;
use super::near::drop_far;
use crate::error::{Error, Result};
use crate::limits::Cancel;
use crate::volume::{LabelMap, LabelTable, Volume};

/// Volumes and lengths within this part of a threshold count as equal to it, so that a spacing that was rounded to
/// `f32` in a header does not decide.
const ROUNDING: f64 = 1e-6;

/// Which labels a step looks at, and whether each by itself or several as one thing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// Every label by itself.
    #[default]
    Each,
    /// These labels, each by itself.
    EachOf(Vec<u16>),
    /// All labels together.
    Foreground,
    /// All labels but these, together.
    Except(Vec<u16>),
    /// These labels together.
    Together(Vec<u16>),
}

impl Scope {
    /// True when label `id` is looked at.
    #[must_use]
    pub fn holds(&self, id: u16) -> bool {
        id != 0
            && match self {
                Self::Each | Self::Foreground => true,
                Self::EachOf(ids) | Self::Together(ids) => ids.contains(&id),
                Self::Except(ids) => !ids.contains(&id),
            }
    }

    /// The class of an id for [`Components::by_class`]: 0 where it is not looked at.
    fn class(&self, id: u16) -> u16 {
        match self {
            _ if !self.holds(id) => 0,
            Self::Each | Self::EachOf(_) => id,
            _ => 1,
        }
    }

    fn ids(&self) -> &[u16] {
        match self {
            Self::Each | Self::Foreground => &[],
            Self::EachOf(ids) | Self::Except(ids) | Self::Together(ids) => ids,
        }
    }
}

/// One step of [`postprocess`]. In a file: `{ keep_largest = { labels = { except = [24] } } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Step {
    /// Keeps the largest component of each label, or of several labels taken together; of equal ones the first in
    /// scan order.
    KeepLargest {
        /// What a component is made of.
        #[serde(default)]
        labels: Scope,
        /// Which voxels touch.
        #[serde(default)]
        connectivity: Connectivity,
    },
    /// Drops components of less than `mm3`.
    RemoveSmall {
        /// Smallest volume that stays, in mm^3.
        mm3: f64,
        /// What a component is made of.
        #[serde(default)]
        labels: Scope,
        /// Which voxels touch.
        #[serde(default)]
        connectivity: Connectivity,
    },
    /// Fills background that labels enclose: 6-connected, not touching the border of the volume, with no other
    /// neighbours than one label (scope `each`) or the labels taken together. It takes the id that it shares the most
    /// faces with, of equal ones the lower.
    FillHoles {
        /// Which labels may enclose a hole.
        #[serde(default)]
        labels: Scope,
    },
    /// Drops voxels of `labels` that lie farther than `distance_mm` from the largest component of `to`.
    ///
    /// Distances go from voxel centre to voxel centre, on sheared grids too. Where `to` has no voxel, all of `labels` is dropped.
    Near {
        /// Ids of the labels to drop.
        labels: Vec<u16>,
        /// What the largest component is made of: one of `foreground`, `except`, `together`.
        to: Scope,
        /// Largest distance that stays, in mm.
        distance_mm: f64,
        /// Which voxels of `to` touch.
        #[serde(default)]
        connectivity: Connectivity,
    },
    /// Gives voxels of `labels` the id `into`, 0 for background, and takes `labels` out of the table.
    Merge {
        /// Ids that vanish.
        labels: Vec<u16>,
        /// Id that they become.
        into: u16,
    },
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The step's name, as in a file.
    pub step: &'static str,
    /// Components dropped, or holes filled; 0 for steps that work on single voxels.
    pub components: u64,
    /// Voxels whose id changed.
    pub voxels: u64,
}

/// What [`postprocess`] did, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct PostprocessReport {
    /// One entry for each step, in order.
    pub steps: Vec<StepReport>,
}

/// Runs `steps` on a label map, in place and in order.
///
/// All steps are checked before the first one changes a voxel.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when a step names an id that the table does not have (an empty table has all), a size or
/// distance that is not a positive number, or a scope it cannot use; [`crate::ErrorKind::Limit`] as [`Components::new`].
pub fn postprocess(map: &mut LabelMap, steps: &[Step]) -> Result<PostprocessReport> {
    postprocess_until(map, steps, &Cancel::new())
}

/// As [`postprocess`], stopped by `cancel` between two steps or within the components of one; voxels are then as the
/// steps before left them.
///
/// # Errors
/// As [`postprocess`]; [`crate::ErrorKind::Interrupted`] once `cancel` was turned.
pub fn postprocess_until(map: &mut LabelMap, steps: &[Step], cancel: &Cancel) -> Result<PostprocessReport> {
    check(map, steps)?;
    let mut report = PostprocessReport::default();
    for step in steps {
        cancel.check()?;
        let ids = &mut map.ids;
        let (step, (components, voxels)) = match step {
            Step::KeepLargest { labels, connectivity } => {
                ("keep_largest", keep_largest(ids, labels, *connectivity, cancel)?)
            }
            Step::RemoveSmall { mm3, labels, connectivity } => {
                ("remove_small", remove_small(ids, *mm3, labels, *connectivity, cancel)?)
            }
            Step::FillHoles { labels } => ("fill_holes", fill_holes(ids, labels, cancel)?),
            Step::Near { labels, to, distance_mm, connectivity } => {
                ("near", (0, keep_near(ids, labels, to, *distance_mm, *connectivity, cancel)?))
            }
            Step::Merge { labels, into } => ("merge", (0, merge(map, labels, *into)?)),
        };
        report.steps.push(StepReport { step, components, voxels });
    }
    Ok(report)
}

/// Refuses steps that make no sense for this map; ids that a merge takes away are gone for the steps after it.
fn check(map: &LabelMap, steps: &[Step]) -> Result<()> {
    let mut known: BTreeSet<u16> = map.table.labels().iter().map(|label| label.id).collect();
    let any = known.is_empty();
    let positive = |value: f64, what: &str| {
        let fine = value > 0.0 && value.is_finite();
        fine.then_some(()).ok_or_else(|| Error::model(format!("{what} of {value} is not a positive number")))
    };
    for step in steps {
        let ids: Vec<u16> = match step {
            Step::KeepLargest { labels, .. } | Step::FillHoles { labels } => labels.ids().to_vec(),
            Step::RemoveSmall { mm3, labels, .. } => {
                positive(*mm3, "a smallest volume in mm3")?;
                labels.ids().to_vec()
            }
            Step::Near { labels, to, distance_mm, .. } => {
                positive(*distance_mm, "a largest distance in mm")?;
                if matches!(to, Scope::Each | Scope::EachOf(_)) {
                    return Err(Error::model("a step `near` needs one thing to be near to")
                        .hint("write foreground, except or together for `to`"));
                }
                [labels, to.ids()].concat()
            }
            Step::Merge { labels, into } => labels.iter().chain((*into != 0).then_some(into)).copied().collect(),
        };
        if let Some(id) = ids.iter().find(|&&id| id == 0 || !any && !known.contains(&id)) {
            return Err(Error::model(format!(
                "a post-processing step names label {id}, which the model does not have"
            )));
        }
        if let Step::Merge { labels, into } = step {
            known.retain(|id| id == into || !labels.contains(id));
        }
    }
    Ok(())
}

/// Drops the components for which `stays` is false: (components, voxels).
fn drop_components(ids: &mut Volume<u16>, components: &Components, stays: &[bool]) -> (u64, u64) {
    let voxels = components.voxels();
    let dropped = || stays.iter().zip(&voxels).filter(|(stays, _)| !**stays).map(|(_, &voxels)| voxels);
    let (count, sum) = (dropped().count() as u64, dropped().sum());
    if count > 0 {
        components.edit_rows(ids, |row, runs| {
            for (run, number) in runs {
                if !stays[number as usize - 1] {
                    row[run.range()].fill(0);
                }
            }
        });
    }
    (count, sum)
}

fn scoped(ids: &Volume<u16>, scope: &Scope, connectivity: Connectivity, cancel: &Cancel) -> Result<Components> {
    let listed = scope.ids().iter().max().map_or(0, |&id| usize::from(id) + 1);
    let classes: Vec<u16> = (0..=u16::MAX).take(listed).map(|id| scope.class(id)).collect();
    let class = |id| classes.get(usize::from(id)).copied().unwrap_or_else(|| scope.class(id));
    Components::by_class_until(ids.into(), connectivity, class, cancel)
}

/// The number of the largest component of each class that occurs, the lowest one where sizes tie; index is the class.
fn largest(components: &Components) -> Vec<Option<u32>> {
    let (voxels, labels) = (components.voxels(), components.labels());
    let mut best: Vec<Option<u32>> = vec![None; labels.iter().max().map_or(0, |&label| usize::from(label) + 1)];
    for (label, number) in labels.into_iter().zip(1..) {
        let best = &mut best[usize::from(label)];
        if best.is_none_or(|other: u32| voxels[number as usize - 1] > voxels[other as usize - 1]) {
            *best = Some(number);
        }
    }
    best
}

fn keep_largest(
    ids: &mut Volume<u16>,
    scope: &Scope,
    connectivity: Connectivity,
    cancel: &Cancel,
) -> Result<(u64, u64)> {
    let components = scoped(ids, scope, connectivity, cancel)?;
    let mut stays = vec![false; components.count() as usize];
    for number in largest(&components).into_iter().flatten() {
        stays[number as usize - 1] = true;
    }
    Ok(drop_components(ids, &components, &stays))
}

#[expect(clippy::cast_precision_loss, reason = "voxel counts are below 2^53")]
fn remove_small(
    ids: &mut Volume<u16>,
    mm3: f64,
    scope: &Scope,
    connectivity: Connectivity,
    cancel: &Cancel,
) -> Result<(u64, u64)> {
    let components = scoped(ids, scope, connectivity, cancel)?;
    let least = mm3 * (1.0 - ROUNDING) / ids.grid().voxel_mm3();
    let stays: Vec<bool> = components.voxels().into_iter().map(|voxels| voxels as f64 >= least).collect();
    Ok(drop_components(ids, &components, &stays))
}

/// Drops voxels of `labels` far from the largest component of `to`: how many.
fn keep_near(
    ids: &mut Volume<u16>,
    labels: &[u16],
    to: &Scope,
    distance_mm: f64,
    connectivity: Connectivity,
    cancel: &Cancel,
) -> Result<u64> {
    let components = scoped(ids, to, connectivity, cancel)?;
    let Some(target) = largest(&components).into_iter().flatten().next() else {
        return Ok(replace(ids, labels, 0));
    };
    let mut listed = vec![false; 1 << 16];
    labels.iter().for_each(|&label| listed[usize::from(label)] = true);
    drop_far(ids, &listed, &components, target, distance_mm * (1.0 + ROUNDING))
}

fn merge(map: &mut LabelMap, labels: &[u16], into: u16) -> Result<u64> {
    let rest = map.table.labels().iter().filter(|label| label.id == into || !labels.contains(&label.id));
    map.table = LabelTable::new(rest.cloned().collect())?;
    Ok(replace(&mut map.ids, labels, into))
}

/// Gives voxels of `labels` the id `into`: how many changed.
fn replace(ids: &mut Volume<u16>, labels: &[u16], into: u16) -> u64 {
    let mut table: Vec<u16> = (0..=u16::MAX).collect();
    for &label in labels {
        table[usize::from(label)] = into;
    }
    let change = |id: &mut u16| {
        let new = table[usize::from(*id)];
        u64::from(std::mem::replace(id, new) != new)
    };
    ids.data_mut().par_iter_mut().with_min_len(1 << 16).map(change).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::geometry::{Affine, Grid};
    use crate::volume::Label;

    fn map(shape: [usize; 3], ids: Vec<u16>) -> LabelMap {
        let grid = Grid::new(shape, Affine::from_spacing([1.0, 2.0, 0.5], [0.0; 3]).unwrap()).unwrap();
        let label = |id| Label { id, name: format!("label {id}"), rgb: [0; 3], code: None };
        LabelMap::new(Volume::new(grid, ids).unwrap(), LabelTable::new([1, 2, 3].map(label).to_vec()).unwrap())
    }

    /// One row through `steps`.
    fn row(ids: &[u16], steps: &str) -> Vec<u16> {
        let steps: Vec<Step> = serde_json::from_str(steps).unwrap();
        let mut map = map([ids.len(), 1, 1], ids.to_vec());
        let report = postprocess(&mut map, &steps).unwrap();
        let changed = ids.iter().zip(map.ids.data()).filter(|(old, new)| old != new).count() as u64;
        assert_eq!(report.steps.iter().map(|step| step.voxels).sum::<u64>(), changed);
        map.ids.into_data()
    }

    #[test]
    fn keep_largest_by_label_by_group_and_of_all() {
        let ids = [1, 1, 2, 0, 1, 0, 2, 2, 3, 0, 1, 1];
        let kept = |scope: &str| row(&ids, &format!(r#"[{{"keep_largest": {{"labels": {scope}}}}}]"#));
        assert_eq!(kept(r#""each""#), [1, 1, 0, 0, 0, 0, 2, 2, 3, 0, 0, 0]);
        assert_eq!(kept(r#"{"each_of": [2]}"#), [1, 1, 0, 0, 1, 0, 2, 2, 3, 0, 1, 1]);
        // Of equal sizes the first stays.
        assert_eq!(kept(r#""foreground""#), [1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(kept(r#"{"except": [1]}"#), [1, 1, 0, 0, 1, 0, 2, 2, 3, 0, 1, 1]);
        assert_eq!(kept(r#"{"together": [1, 2]}"#), [1, 1, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(row(&ids, r#"[{"keep_largest": {}}]"#), kept(r#""each""#));
    }

    #[test]
    fn small_components_go_by_their_volume_and_the_threshold_itself_stays() {
        let ids = [1, 0, 1, 1, 0, 2, 2, 2];
        assert_eq!(row(&ids, r#"[{"remove_small": {"mm3": 2.0}}]"#), [0, 0, 1, 1, 0, 2, 2, 2]);
        assert_eq!(row(&ids, r#"[{"remove_small": {"mm3": 2.001}}]"#), [0, 0, 0, 0, 0, 2, 2, 2]);
    }

    #[test]
    fn voxels_far_from_the_largest_component_go() {
        let ids = [3, 3, 3, 1, 2, 0, 3, 0, 1, 0, 3];
        let near = r#"[{"near": {"labels": [3], "to": {"except": [3]}, "distance_mm": 2.0}}]"#;
        assert_eq!(row(&ids, near), [0, 3, 3, 1, 2, 0, 3, 0, 1, 0, 0]);
        assert_eq!(row(&[3, 0, 3], near), [0, 0, 0]);
    }

    /// By all pairs of voxels, on an isotropic, an anisotropic, and a sheared oblique grid.
    #[test]
    fn near_is_near_on_any_grid() {
        let affines = [
            Affine::identity(),
            Affine::from_spacing([-1.0, 2.0, 0.5], [3.0; 3]).unwrap(),
            Affine::from_rows([[-0.9, 0.5, 0.1, 12.0], [0.1, 0.3, -1.0, -40.0], [0.0, 0.1, 0.3, 7.5]]).unwrap(),
        ];
        for (affine, distance_mm) in
            affines.into_iter().flat_map(|affine| [0.5, 0.9, 1.2, 2.5, 1e9].map(|mm| (affine, mm)))
        {
            let shape = [9, 7, 8];
            let grid = Grid::new(shape, affine).unwrap();
            let ids = (0..grid.voxels()).map(|n| if n % 61 < 4 { 1 } else { [0, 3, 3][n * n % 31 % 3] }).collect();
            let mut map = LabelMap::new(Volume::new(grid, ids).unwrap(), LabelTable::default());

            let ones = Components::by_class(&map.ids, Connectivity::TwentySix, |id| u16::from(id == 1)).unwrap();
            let best = ones.table().unwrap().into_iter().rev().max_by_key(|component| component.voxels).unwrap();
            let numbers = ones.paint::<u32>().unwrap();
            let mm = |(i, j, k): (usize, usize, usize)| grid.index_to_world([i, j, k].map(|n| n as f64));
            let voxels = numbers.view();
            let of_best = voxels.indexed_iter().filter(|(_, n)| **n == best.number);
            let target: Vec<_> = of_best.map(|(at, _)| mm(at)).collect();
            let mut wanted = map.ids.clone();
            for (at, id) in wanted.view_mut().indexed_iter_mut().filter(|(_, id)| **id == 3) {
                let square = |there: &[f64; 3]| mm(at).iter().zip(there).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
                if target.iter().map(square).fold(f64::INFINITY, f64::min).sqrt() > distance_mm {
                    *id = 0;
                }
            }
            assert_eq!(wanted != map.ids, distance_mm < 1e9);

            let to = Scope::Together(vec![1]);
            let step = Step::Near { labels: vec![3], to, distance_mm, connectivity: Connectivity::TwentySix };
            postprocess(&mut map, &[step]).unwrap();
            assert_eq!(map.ids, wanted);
        }
    }

    #[test]
    fn merged_labels_leave_the_table() {
        let mut map = map([4, 1, 1], vec![1, 2, 3, 0]);
        let steps: Vec<Step> =
            serde_json::from_str(r#"[{"merge": {"labels": [1, 2], "into": 2}}, {"keep_largest": {}}]"#).unwrap();
        let report = postprocess(&mut map, &steps).unwrap();
        assert_eq!(map.ids.data(), [2, 2, 3, 0]);
        assert_eq!(map.table.labels().iter().map(|label| label.id).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(report.steps[0], StepReport { step: "merge", components: 0, voxels: 1 });
        assert_eq!(report.steps[1].step, "keep_largest");
    }

    #[test]
    fn steps_that_make_no_sense_are_refused_before_anything_changes() {
        let bad = [
            r#"{"keep_largest": {"labels": {"except": [4]}}}"#,
            r#"{"merge": {"labels": [1], "into": 9}}"#,
            r#"{"merge": {"labels": [0], "into": 1}}"#,
            r#"{"remove_small": {"mm3": -1.0}}"#,
            r#"{"near": {"labels": [3], "to": "each", "distance_mm": 2.0}}"#,
            r#"{"near": {"labels": [3], "to": "foreground", "distance_mm": 0.0}}"#,
            r#"{"keep_largest": {"labels": {"each_of": [1]}}}"#,
        ];
        for step in bad {
            let steps = format!(r#"[{{"merge": {{"labels": [1], "into": 2}}}}, {step}]"#);
            let steps: Vec<Step> = serde_json::from_str(&steps).unwrap();
            let mut map = map([3, 1, 1], vec![1, 2, 3]);
            assert_eq!(postprocess(&mut map, &steps).unwrap_err().kind(), ErrorKind::Model, "{step}");
            assert_eq!(map.ids.data(), [1, 2, 3]);
        }
        for unknown in [r#"{"keep_largest": {"label": "each"}}"#, r#"{"keep": {}}"#, r#"{"remove_small": {}}"#] {
            assert!(serde_json::from_str::<Step>(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn steps_stand_in_toml() {
        #[derive(Deserialize)]
        struct Spec {
            postprocess: Vec<Step>,
        }
        let spec = r#"
            [[postprocess]]
            keep_largest = { labels = { except = [3] }, connectivity = 6 }
            [[postprocess]]
            near = { labels = [3], to = { except = [3] }, distance_mm = 10 }
        "#;
        let steps = toml::from_str::<Spec>(spec).unwrap().postprocess;
        let wanted = Step::KeepLargest { labels: Scope::Except(vec![3]), connectivity: Connectivity::Six };
        assert_eq!(steps[0], wanted);
        assert_eq!(serde_json::from_str::<Step>(&serde_json::to_string(&steps[1]).unwrap()).unwrap(), steps[1]);
    }
}
