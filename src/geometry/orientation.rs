//! Axis codes such as `RAS`, and exact reorientation as a permutation with flips.

use std::fmt;
use std::str::FromStr;

use super::Affine;
use crate::error::{Error, Result};

/// The side of the patient that an axis grows towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards the patient's right (world +x).
    Right,
    /// Towards the patient's left (world -x).
    Left,
    /// Towards the front (world +y).
    Anterior,
    /// Towards the back (world -y).
    Posterior,
    /// Towards the head (world +z).
    Superior,
    /// Towards the feet (world -z).
    Inferior,
}

impl Direction {
    /// World axis: 0 for left-right, 1 for posterior-anterior, 2 for inferior-superior.
    #[must_use]
    pub fn world_axis(self) -> usize {
        match self {
            Self::Right | Self::Left => 0,
            Self::Anterior | Self::Posterior => 1,
            Self::Superior | Self::Inferior => 2,
        }
    }

    /// True for `Right`, `Anterior` and `Superior`.
    #[must_use]
    pub fn is_positive(self) -> bool {
        matches!(self, Self::Right | Self::Anterior | Self::Superior)
    }

    /// From a world axis (0, 1, 2; others count modulo 3) and a sign.
    #[must_use]
    pub fn from_world(axis: usize, positive: bool) -> Self {
        match (axis % 3, positive) {
            (0, true) => Self::Right,
            (0, false) => Self::Left,
            (1, true) => Self::Anterior,
            (1, false) => Self::Posterior,
            (_, true) => Self::Superior,
            (_, false) => Self::Inferior,
        }
    }

    /// The opposite side.
    #[must_use]
    pub fn opposite(self) -> Self {
        Self::from_world(self.world_axis(), !self.is_positive())
    }

    /// `R`, `L`, `A`, `P`, `S` or `I`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Right => 'R',
            Self::Left => 'L',
            Self::Anterior => 'A',
            Self::Posterior => 'P',
            Self::Superior => 'S',
            Self::Inferior => 'I',
        }
    }
}

/// The sides that the axes i, j, k grow towards; each world axis occurs once.
///
/// As text (in model specs and options) three letters such as `RAS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Orientation([Direction; 3]);

impl Orientation {
    /// i to the Right, j Anterior, k Superior.
    pub const RAS: Self = Self([Direction::Right, Direction::Anterior, Direction::Superior]);

    /// From one direction per axis.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when a world axis occurs twice.
    pub fn new(directions: [Direction; 3]) -> Result<Self> {
        let mut seen = [false; 3];
        for d in directions {
            seen[d.world_axis()] = true;
        }
        if seen != [true; 3] {
            let letters: String = directions.iter().map(|d| d.letter()).collect();
            return Err(Error::usage(format!("{letters} is no orientation: each of R/L, A/P and S/I is needed once")));
        }
        Ok(Self(directions))
    }

    /// Direction of axis i, j or k.
    #[must_use]
    pub fn directions(&self) -> [Direction; 3] {
        self.0
    }

    /// The axes in reverse order: the memory order of an `[i, j, k]` array in C order.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self([self.0[2], self.0[1], self.0[0]])
    }

    /// The orientation whose axes are best aligned with the columns of `affine`.
    ///
    /// The columns are first made perpendicular by polar decomposition; axes are then taken from the best aligned to
    /// the worst, ties in index order, as nibabel's `io_orientation` does.
    #[must_use]
    pub fn of(affine: &Affine) -> Self {
        let mut m = nearest_orthogonal(affine.direction());
        let weight = m.map(|column| column.iter().map(|v| v * v).fold(0.0, f64::max));
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| weight[b].total_cmp(&weight[a]));
        let mut directions = [Direction::Right; 3];
        for axis in order {
            let mut best = 0;
            for world in 1..3 {
                if m[axis][world].abs() > m[axis][best].abs() {
                    best = world;
                }
            }
            directions[axis] = Direction::from_world(best, m[axis][best] >= 0.0);
            for column in &mut m {
                column[best] = 0.0;
            }
        }
        Self(directions)
    }

    /// The permutation and flips that turn an array in this orientation into one in `target`.
    #[must_use]
    pub fn to(&self, target: Self) -> AxisMap {
        let axes = target.0.map(|d| {
            let from = self.0.iter().position(|s| s.world_axis() == d.world_axis()).unwrap_or(0);
            (from, self.0[from] != d)
        });
        AxisMap { from: axes.map(|a| a.0), flip: axes.map(|a| a.1) }
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|d| write!(f, "{}", d.letter()))
    }
}

impl From<Orientation> for String {
    fn from(orientation: Orientation) -> Self {
        orientation.to_string()
    }
}

impl TryFrom<String> for Orientation {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Orientation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::usage(format!("{text:?} is no orientation")).hint("give three letters such as RAS or LPS");
        let directions = text
            .chars()
            .map(|c| match c.to_ascii_uppercase() {
                'R' => Some(Direction::Right),
                'L' => Some(Direction::Left),
                'A' => Some(Direction::Anterior),
                'P' => Some(Direction::Posterior),
                'S' => Some(Direction::Superior),
                'I' => Some(Direction::Inferior),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(bad)?;
        Self::new(directions.try_into().map_err(|_| bad())?)
    }
}

/// An exact reordering of axes: new axis `a` is old axis `from[a]`, reversed where `flip[a]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisMap {
    /// Old axis behind each new axis.
    pub from: [usize; 3],
    /// Whether the new axis runs against the old one.
    pub flip: [bool; 3],
}

impl AxisMap {
    /// Leaves everything as it is.
    pub const IDENTITY: Self = Self { from: [0, 1, 2], flip: [false; 3] };

    /// Shape after the map.
    #[must_use]
    pub fn shape(&self, old: [usize; 3]) -> [usize; 3] {
        self.from.map(|axis| old[axis])
    }

    /// The map that undoes this one.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut back = Self::IDENTITY;
        for new in 0..3 {
            back.from[self.from[new]] = new;
            back.flip[self.from[new]] = self.flip[new];
        }
        back
    }

    /// New continuous index to old continuous index for an array of old shape `old`, as an affine in voxels.
    #[must_use]
    pub(super) fn new_to_old(&self, old: [usize; 3]) -> [[f64; 4]; 3] {
        let mut rows = [[0.0; 4]; 3];
        for new in 0..3 {
            let axis = self.from[new];
            rows[axis][new] = if self.flip[new] { -1.0 } else { 1.0 };
            #[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
            let last = old[axis].saturating_sub(1) as f64;
            rows[axis][3] = if self.flip[new] { last } else { 0.0 };
        }
        rows
    }
}

/// The orthogonal matrix nearest to `columns` (Higham's iteration for the polar decomposition).
fn nearest_orthogonal(columns: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let mut m = columns;
    for _ in 0..50 {
        let Ok(affine) = Affine::from_columns(m, [0.0; 3]) else { return columns };
        let inverse = affine.inverse().rows();
        let mut change = 0.0_f64;
        for (c, column) in m.iter_mut().enumerate() {
            for (r, value) in column.iter_mut().enumerate() {
                let next = 0.5 * (*value + inverse[c][r]);
                change = change.max((next - *value).abs());
                *value = next;
            }
        }
        if change < 1e-15 {
            break;
        }
    }
    m
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["RAS", "LPS", "LIA", "PIR"] {
            assert_eq!(text.parse::<Orientation>().unwrap().to_string(), text);
        }
        assert!("RAL".parse::<Orientation>().is_err());
        assert!("RA".parse::<Orientation>().is_err());
        assert!("XYZ".parse::<Orientation>().is_err());
    }

    #[test]
    fn the_map_between_orientations_is_undone_by_its_inverse() {
        let lia: Orientation = "LIA".parse().unwrap();
        let map = lia.to(Orientation::RAS);
        assert_eq!(map, AxisMap { from: [0, 2, 1], flip: [true, false, true] });
        assert_eq!(map.inverse().inverse(), map);
        assert_eq!(Orientation::RAS.to(lia), map.inverse());
    }
}
