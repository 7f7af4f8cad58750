//! Places of buffers: results that can take the memory of an operand, lifetimes, offsets in one arena.

use super::kernels::LANES;
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
/// operands that nobody reads later vanish or work in place.
pub(super) fn assign(tensors: &mut [Tensor], steps: &mut Vec<Step>) -> usize {
    let waiting = crop_early(tensors, steps);
    let aliases = aliases(tensors, steps, &waiting);
    steps.retain(|step| match step.kind {
        Kind::CopyChannels { first } => aliases[step.input] != Some((step.output, first / LANES)),
        _ => true,
    });
    let (first, last) = lifetimes(tensors.len(), steps);
    let roots: Vec<_> = (0..tensors.len()).map(|tensor| root(&aliases, tensor)).collect();
    let mut spans: Vec<_> = first.into_iter().zip(last).collect();
    let mut borders: Vec<_> = tensors.iter().map(|t| (t.extent.left, t.extent.right)).collect();
    for (tensor, &(whole, _)) in roots.iter().enumerate() {
        spans[whole] = (spans[whole].0.min(spans[tensor].0), spans[whole].1.max(spans[tensor].1));
        borders[whole] = (borders[whole].0.max(borders[tensor].0), borders[whole].1.max(borders[tensor].1));
    }
    for (tensor, &(whole, _)) in tensors.iter_mut().zip(&roots) {
        (tensor.extent.left, tensor.extent.right) = borders[whole];
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
