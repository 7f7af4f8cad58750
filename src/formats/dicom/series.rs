//! Which planes belong together.

use std::collections::BTreeMap;

use super::instance::{Content, Instance};
use super::plane::{Plane, Vector, length, subtract};

/// Directions may differ by this much within a stack.
const SAME_DIRECTION: f64 = 0.01;

/// One plane of one file, as indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlaneId {
    pub(super) file: usize,
    pub(super) plane: usize,
}

impl PlaneId {
    /// The plane itself and its file.
    pub(super) fn of(self, instances: &[Instance]) -> Option<(&Plane, &Instance)> {
        let instance = instances.get(self.file)?;
        match &instance.content {
            Content::Planes(planes, _) => planes.get(self.plane).map(|plane| (plane, instance)),
            _ => None,
        }
    }
}

/// What a row of a triage stands for.
#[derive(Debug)]
pub(super) enum Group {
    /// Planes of one series, orientation and kind: a volume if they line up.
    Stack(Vec<PlaneId>),
    /// Files of one series that hold no volume.
    Other(Vec<usize>),
}

/// Row direction, column direction and the planes along them.
type Oriented = (Vector, Vector, Vec<PlaneId>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    study: &'a str,
    series_number: Option<i64>,
    series: &'a str,
    sop_class: &'a str,
    size: Option<(u32, u32)>,
    /// Echo, image type, complex component and inversion time; the reason for files that hold no volume.
    kind: &'a str,
    is_other: bool,
}

/// Groups planes by series, object class, size, orientation and what else separates volumes; and files without planes by
/// series and reason.
pub(super) fn group(instances: &[Instance]) -> Vec<Group> {
    let mut groups: BTreeMap<Key<'_>, (Vec<Oriented>, Vec<usize>)> = BTreeMap::new();
    for (file, instance) in instances.iter().enumerate() {
        let key = |kind, is_other| Key {
            study: &instance.study,
            series_number: instance.series_number,
            series: &instance.series,
            sop_class: &instance.sop_class,
            size: instance.format.map(|format| (format.rows, format.columns)),
            kind,
            is_other,
        };
        match &instance.content {
            Content::Planes(planes, _) => {
                for (index, plane) in planes.iter().enumerate() {
                    let (stacks, _) = groups.entry(key(&plane.kind, false)).or_default();
                    let id = PlaneId { file, plane: index };
                    let is_along =
                        |(row, column, _): &&mut Oriented| is_same(*row, plane.row) && is_same(*column, plane.column);
                    match stacks.iter_mut().find(is_along) {
                        Some((_, _, members)) => members.push(id),
                        None => stacks.push((plane.row, plane.column, vec![id])),
                    }
                }
            }
            Content::Refused(reason) => groups.entry(key(reason, true)).or_default().1.push(file),
            Content::NoImage => groups.entry(key("", true)).or_default().1.push(file),
            Content::Directory(_) => (),
        }
    }
    let groups = groups.into_values().flat_map(|(stacks, others)| {
        let others = (!others.is_empty()).then_some(Group::Other(others));
        stacks.into_iter().map(|(_, _, members)| Group::Stack(members)).chain(others)
    });
    groups.collect()
}

fn is_same(a: Vector, b: Vector) -> bool {
    length(subtract(a, b)) < SAME_DIRECTION
}
