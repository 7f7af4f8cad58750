//! Places of buffers: results that can take the memory of an operand, lifetimes, offsets in one arena.

use super::kernels::{Extent, LANES, MOST_PLANES, Turns};
use super::plan::{Kind, Layout, Place, Step, Tensor, TensorId};

/// A tensor that lies inside another: which one, and its first block.
type Alias = Option<(TensorId, usize)>;

/// Last step that reads each tensor, and first that writes it.
fn lifetimes(tensors: usize, steps: &[Step]) -> (Vec<usize>, Vec<usize>) {
    let (mut first, mut last) = (vec![usize::MAX; tensors], vec![0; tensors]);
    for (index, step) in steps.iter().enumerate() {
        let scratch = step.scratch();
        for tensor in [Some(step.input), step.other, Some(step.output)].into_iter().chain(scratch).flatten() {
            last[tensor] = last[tensor].max(index);
        }
        for tensor in [Some(step.output)].into_iter().chain(scratch).flatten() {
            first[tensor] = first[tensor].min(index);
        }
    }
    (first, last)
}

/// The tensor that holds `tensor` in the end, and the first block there.
fn root(aliases: &[Alias], mut tensor: TensorId) -> (TensorId, usize) {
    let mut block = 0;
    while let Some((whole, first)) = aliases[tensor] {
        tensor = whole;
        block += first;
    }
    (tensor, block)
}

/// Moves crops that leave at most three quarters to where nothing else reads the whole any more, and returns what they make:
/// the middle of a level's result waits for its decoder then, not all of it.
fn crop_early(tensors: &[Tensor], steps: &mut [Step]) -> Vec<TensorId> {
    let mut waiting = Vec::new();
    for index in 0..steps.len() {
        let Step { input, output, other: None, kind: Kind::Take { .. }, .. } = steps[index] else { continue };
        let uses = |step: &Step| step.input == input || step.other == Some(input) || step.output == input;
        let before = steps[..index].iter().rposition(uses).map_or(0, |last| last + 1);
        let small = 4 * tensors[output].lanes() <= 3 * tensors[input].lanes();
        if small && before < index && !steps[index + 1..].iter().any(uses) {
            steps[before..=index].rotate_right(1);
            waiting.push(output);
        }
    }
    waiting
}

/// Gives every tensor its place and returns the lanes of the arena. Concatenations of aligned parts and operations on
/// operands that nobody reads later vanish or work in place; chains of convolutions do where the arena is smaller by that.
pub(super) fn assign(tensors: &mut Vec<Tensor>, steps: &mut Vec<Step>) -> usize {
    let (mut other_tensors, mut other_steps) = (tensors.clone(), steps.clone());
    let apart = arrange(tensors, steps, false);
    let chained = arrange(&mut other_tensors, &mut other_steps, true);
    if chained >= apart {
        return apart;
    }
    (*tensors, *steps) = (other_tensors, other_steps);
    chained
}

/// As [`assign`], with all chains of convolutions in place or none.
fn arrange(tensors: &mut [Tensor], steps: &mut Vec<Step>, chained: bool) -> usize {
    let waiting = crop_early(tensors, steps);
    let mut aliases = aliases(tensors, steps, &waiting);
    if chained {
        chain(tensors, steps, &mut aliases);
    }
    steps.retain(|step| match step.kind {
        Kind::CopyChannels { first } => aliases[step.input] != Some((step.output, first / LANES)),
        _ => true,
    });
    let (first, last) = lifetimes(tensors.len(), steps);
    let roots: Vec<_> = (0..tensors.len()).map(|tensor| root(&aliases, tensor)).collect();
    let mut spans: Vec<_> = first.into_iter().zip(last).collect();
    let mut rooms: Vec<_> = tensors.iter().map(|t| [t.extent.left, t.extent.right, t.extent.spare]).collect();
    for (tensor, &(whole, _)) in roots.iter().enumerate() {
        spans[whole] = (spans[whole].0.min(spans[tensor].0), spans[whole].1.max(spans[tensor].1));
        rooms[whole] = std::array::from_fn(|i| rooms[whole][i].max(rooms[tensor][i]));
    }
    for (tensor, &(whole, _)) in tensors.iter_mut().zip(&roots) {
        [tensor.extent.left, tensor.extent.right, tensor.extent.spare] = rooms[whole];
    }
    let mut wanted: Vec<_> = (0..tensors.len())
        .filter(|&t| roots[t].0 == t && spans[t].0 != usize::MAX && matches!(tensors[t].place, Place::Arena(_)))
        .map(|t| (t, tensors[t].lanes(), spans[t]))
        .collect();
    wanted.sort_by_key(|&(tensor, lanes, _)| (std::cmp::Reverse(lanes), tensor));
    let total = place(tensors, &wanted);
    for tensor in 0..tensors.len() {
        let (whole, block) = roots[tensor];
        if let (true, &Place::Arena(start)) = (whole != tensor, &tensors[whole].place) {
            tensors[tensor].place = Place::Arena(start + block * tensors[whole].extent.block());
        }
    }
    total
}

/// Puts each buffer, the largest first, into the tightest gap between those that live at the same time.
fn place(tensors: &mut [Tensor], wanted: &[(TensorId, usize, (usize, usize))]) -> usize {
    let mut placed: Vec<(usize, usize, (usize, usize))> = Vec::new();
    for &(tensor, lanes, span) in wanted {
        let mut busy: Vec<_> = placed
            .iter()
            .filter(|(_, _, other)| span.0 <= other.1 && other.0 <= span.1)
            .map(|&(start, end, _)| (start, end))
            .collect();
        busy.sort_unstable();
        let (mut end, mut best) = (0, None::<(usize, usize)>);
        for (start, next) in busy {
            let gap = start.saturating_sub(end);
            if gap >= lanes && best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, end));
            }
            end = end.max(next);
        }
        let start = best.map_or(end, |(_, start)| start);
        placed.push((start, start + lanes, span));
        tensors[tensor].place = Place::Arena(start);
    }
    placed.iter().map(|&(_, end, _)| end).max().unwrap_or(0)
}

/// Those `waiting` get no place in a concatenation, which would be there as long as they are.
fn aliases(tensors: &[Tensor], steps: &mut [Step], waiting: &[TensorId]) -> Vec<Alias> {
    let mut aliases: Vec<Alias> = vec![None; tensors.len()];
    let (_, mut last) = lifetimes(tensors.len(), steps);
    for index in 0..steps.len() {
        let step = &steps[index];
        let (input, output) = (step.input, step.output);
        let own = |t: TensorId| tensors[t].layout == Layout::Blocked && matches!(tensors[t].place, Place::Arena(_));
        if aliases[input].is_some() || !own(input) || !own(output) {
            continue;
        }
        match step.kind {
            Kind::CopyChannels { first } if first % LANES == 0 && !waiting.contains(&input) => {
                let part = root(&aliases, input).0;
                let twice =
                    |(i, s): (usize, &Step)| i != index && s.output == output && root(&aliases, s.input).0 == part;
                if !steps.iter().enumerate().any(twice) {
                    aliases[input] = Some((output, first / LANES));
                    last[output] = last[output].max(last[input]);
                }
            }
            Kind::Elementwise | Kind::Normalize { .. } | Kind::Softmax { .. } | Kind::AddTaken { .. } => {
                let shared = step.other.is_some_and(|other| root(&aliases, other).0 == root(&aliases, input).0);
                if last[input] == index && !shared {
                    aliases[input] = Some((output, 0));
                    steps[index].in_place = true;
                }
            }
            _ => {}
        }
    }
    aliases
}

/// Puts the result of each direct convolution between two others where its operand lies, when they have the same size.
fn chain(tensors: &mut [Tensor], steps: &mut [Step], aliases: &mut [Alias]) {
    // Of each tensor of a chain, once it is known: the places of its planes, and how many places its buffer has.
    let mut chains: Vec<Option<(Vec<usize>, usize)>> = vec![None; tensors.len()];
    for index in 0..steps.len() {
        let (input, output) = (steps[index].input, steps[index].output);
        let links = [input, output].iter().all(|&tensor| is_link(tensors, steps, tensor));
        let Kind::Convolve { windows, turns, minimal: None, .. } = &mut steps[index].kind else { continue };
        let before = chains[input].take();
        if let Some((places, _)) = &before {
            windows.depth.relocate(places);
        }
        let (from, to) = (tensors[input].extent, tensors[output].extent);
        let size = |extent: Extent| [extent.blocks(), extent.depth, extent.height, extent.width];
        if !(links && size(from) == size(to) && to.depth <= MOST_PLANES) {
            continue;
        }
        let (order, places) = Turns::new(&windows.depth, before.map_or(from.depth, |(_, places)| places));
        chains[output] = Some((order.places(), places));
        *turns = Some(order);
        steps[index].in_place = true;
        aliases[input] = Some((output, 0));
        tensors[output].extent.spare = places - to.depth;
    }
}

/// Whether a convolution makes a tensor in blocks and a direct one alone reads it.
fn is_link(tensors: &[Tensor], steps: &[Step], tensor: TensorId) -> bool {
    let mut made = steps.iter().filter(|step| step.output == tensor);
    let mut read = steps.iter().filter(|step| step.input == tensor || step.other == Some(tensor));
    let made = matches!((made.next(), made.next()), (Some(Step { kind: Kind::Convolve { .. }, .. }), None));
    let direct = |step: &Step| step.other != Some(tensor) && matches!(step.kind, Kind::Convolve { minimal: None, .. });
    let read = matches!((read.next(), read.next()), (Some(step), None) if direct(step));
    tensors[tensor].layout == Layout::Blocked && made && read
}
