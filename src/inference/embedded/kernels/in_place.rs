//! Convolutions whose result takes the place of their operand, plane by plane.
//!
//! The buffer has some planes more than the operand. The first planes of the result go there, each later one to where a
//! plane lies that nothing will read. Planes that share taps follow each other, so a kernel of three takes three more
//! planes, whatever its dilation: two whose neighbors are still to come, and one for threads that are ahead.
#![expect(unsafe_code, reason = "planes of one buffer are read and written side by side")]

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::convolution::{Input, Job, no_taps};
use super::lanes::{Extent, Lanes};
use super::shared::Shared;
use super::window::Axis;

/// Turns that may run side by side: one starts when all those are done that are this many before it.
const AHEAD: usize = 2;

/// Most planes of a result: time to plan and to check grows with their square.
pub(crate) const MOST_PLANES: usize = 2048;

/// The planes of a result in the order in which they are computed, each with its place in the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turns(Vec<(usize, usize)>);

/// Planes so that those follow each other that share taps.
fn order(taps: &Axis) -> Vec<usize> {
    let mut left: Vec<usize> = (0..taps.len()).collect();
    let mut order: Vec<usize> = Vec::with_capacity(left.len());
    let places = |plane: usize| taps.taps(plane).iter().map(|tap| tap.1);
    while !left.is_empty() {
        let next = order.last().and_then(|&last| {
            left.iter().position(|&plane| places(plane).any(|place| places(last).any(|other| place == other)))
        });
        order.push(left.remove(next.unwrap_or(0)));
    }
    order
}

impl Turns {
    /// Finds places for the planes of a result in a buffer with `places` of them, which `taps` read, and says how many the
    /// buffer needs.
    pub(crate) fn new(taps: &Axis, mut places: usize) -> (Self, usize) {
        let order = order(taps);
        let mut last = vec![None; places];
        for (turn, &plane) in order.iter().enumerate() {
            for &(_, place) in taps.taps(plane) {
                last[place] = Some(turn);
            }
        }
        // Places by the turn from which on they are free.
        let mut freed = vec![Vec::new(); order.len() + AHEAD];
        for (place, last) in last.into_iter().enumerate() {
            freed[last.map_or(0, |last| last + AHEAD)].push(place);
        }
        let (mut free, mut turns) = (Vec::new(), Vec::with_capacity(order.len()));
        for (plane, freed) in order.into_iter().zip(freed) {
            free.extend(freed);
            let place = free.pop().unwrap_or_else(|| {
                places += 1;
                places - 1
            });
            turns.push((plane, place));
        }
        (Self(turns), places)
    }

    /// The place of each plane.
    pub(crate) fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.0.len()];
        for &(plane, place) in &self.0 {
            places[plane] = place;
        }
        places
    }

    /// Whether each plane has a place of its own among the first `places`, where nothing is read by its own turn, by a
    /// later one, or by one that may run beside it.
    fn are_apart(&self, taps: &Axis, places: usize) -> bool {
        self.0.iter().enumerate().all(|(turn, &(plane, place))| {
            let (before, beside) = (&self.0[..turn], &self.0[..self.0.len().min(turn + AHEAD)]);
            let read = |place: usize| taps.taps(plane).iter().any(|tap| tap.1 == place);
            place < places && before.iter().all(|other| other.1 != place) && !beside.iter().any(|other| read(other.1))
        })
    }
}

/// Counts a unit as done when it ends, also by a panic: others wait for it.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Job<'_> {
    /// As [`Job::run`], with the operand in `buffer` and the result in its place.
    pub(crate) fn run_in_place(&self, turns: &Turns, buffer: &mut [Lanes], sums: &mut [Lanes]) {
        assert!(self.to.blocks() * self.to.block() <= buffer.len(), "the output is smaller than its extent");
        assert!(Extent { channels: self.to.channels, ..self.from } == self.to, "places are not those of the operand");
        let places = self.to.depth + self.to.spare;
        assert!(turns.are_apart(&self.windows.depth, places), "planes are in each other's way");
        let (buffer, sums) = (Shared::new(buffer), Shared::of_any(sums));
        let job = Job { input: Input::Own(buffer), ..*self };
        let (groups, rows, height) = (self.weights.groups(), self.order().rows, self.to.height);
        let units = height.div_ceil(rows) * groups;
        let next = AtomicUsize::new(0);
        // Units that are done, of even turns and of odd ones. Those of a turn are not counted before all of two turns
        // earlier are, as they wait for these, so that a count tells which.
        let done: [AtomicUsize; AHEAD] = Default::default();
        let before = |turn: usize| done[turn % AHEAD].load(Ordering::Acquire) >= turn / AHEAD * units;
        let ready = |turn: usize| ((turn + 1).saturating_sub(AHEAD)..=turn).all(before);
        (0..rayon::current_num_threads()).into_par_iter().for_each(|_| {
            let mut taps = no_taps();
            loop {
                let unit = next.fetch_add(1, Ordering::Relaxed);
                let (turn, part) = (unit / units, unit % units / groups * rows);
                let Some(&(plane, place)) = turns.0.get(turn) else { break };
                while !ready(turn) {
                    std::thread::yield_now();
                }
                let _done = Done(&done[turn % AHEAD]);
                let rows = plane * height + part..plane * height + height.min(part + rows);
                let first = place * height + part;
                // SAFETY: the rows of a group in a plane belong to this unit alone, and the place to the plane alone
                // (`are_apart`). Until this unit is counted no turn begins from `turn + AHEAD` on; those before write to no
                // place that is read here (`are_apart`), as places are the same in operand and result (checked above).
                unsafe { job.unit((unit % groups, rows), first, (&buffer, sums.as_ref()), &mut taps) };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::window::axes;
    use super::*;

    /// The planes that a convolution meets that keeps their number.
    fn depth(planes: usize, (kernel, dilation): (usize, usize)) -> Axis {
        let before = [(kernel - 1) * dilation / 2];
        let [_, _, axis] = axes((&[kernel], &[1], &[dilation], &before), [1, 1, planes], [1, 1, planes]).unwrap();
        axis
    }

    proptest! {
        #[test]
        fn planes_are_apart_all_along_a_chain(
            planes in 1..=40_usize, chain in prop::collection::vec((1..=3_usize, 1..=17_usize), 1..6), swap: [prop::sample::Index; 2],
        ) {
            let (mut places, mut room): (Vec<usize>, _) = ((0..planes).collect(), planes);
            for size in chain {
                let mut taps = depth(planes, size);
                taps.relocate(&places);
                let (turns, all) = Turns::new(&taps, room);
                prop_assert!(turns.are_apart(&taps, all));
                // Taps to both sides alike: neighbors of a class free as many planes as they take.
                prop_assert!(size.0 % 2 == 0 || all <= room.max(planes + AHEAD + 1));
                prop_assert!(!turns.are_apart(&taps, *turns.places().iter().max().unwrap()));
                // Places that are exchanged are wrong, where one is overwritten too early by that, and never overlap unseen.
                let mut other = turns.clone();
                let [a, b] = swap.map(|index| index.index(planes));
                (other.0[a].1, other.0[b].1) = (turns.0[b].1, turns.0[a].1);
                let early = other.0.iter().enumerate().any(|(turn, &(_, place))| {
                    let last = turns.0.iter().rposition(|&(plane, _)| taps.taps(plane).iter().any(|tap| tap.1 == place));
                    last.is_some_and(|last| turn < last + AHEAD)
                });
                prop_assert_eq!(other.are_apart(&taps, all), !early);
                other.0[a].1 = other.0[b].1;
                prop_assert_eq!(other.are_apart(&taps, all), a == b && !early);
                (places, room) = (turns.places(), all);
            }
        }
    }
}
