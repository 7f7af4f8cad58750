//! Running the steps of a plan on one sample.

use std::ops::Range;
use std::time::Instant;

use super::kernels::{
    Convolve, Epilogue, Extent, Input, Lanes, Normalize, Other, Pool, Simd, add_taken, border, copy_channels,
    elementwise, head_input, interpolate, interpolate_cubic, softmax, take, to_blocked, to_half, to_plain, values,
    values_mut,
};
use super::plan::{Kind, Layout, Place, Plan, Step, Tensor, TensorId};

/// The arena in pieces: what a step writes, and the rest, which it reads.
struct Split<'a> {
    /// The output, and what [`Step::scratch`] names.
    written: [&'a mut [Lanes]; 3],
    /// Pieces that may be read, with the lane at which each starts.
    rest: Rest<'a>,
}

impl<'a> Split<'a> {
    /// Takes disjoint ranges out of the arena.
    fn new(arena: &'a mut [Lanes], ranges: &[Range<usize>; 3]) -> Self {
        let mut order = [0, 1, 2];
        order.sort_unstable_by_key(|&i| ranges[i].start);
        let (mut tail, mut at) = (arena, 0);
        let mut written = [const { None }; 3];
        let mut rest = [(0, &[][..]); 4];
        for (piece, i) in order.into_iter().enumerate() {
            let (before, from) = tail.split_at_mut(ranges[i].start.saturating_sub(at));
            rest[piece] = (at, &*before);
            let (taken, behind) = from.split_at_mut(ranges[i].len());
            at = at.max(ranges[i].start) + taken.len();
            (written[i], tail) = (Some(taken), behind);
        }
        rest[3] = (at, &*tail);
        Self { written: written.map(Option::unwrap_or_default), rest }
    }

    /// Lanes that the step does not write.
    fn read(rest: &Rest<'a>, range: &Range<usize>) -> &'a [Lanes] {
        let piece = rest.iter().rev().find(|(start, piece)| *start <= range.start && range.end <= start + piece.len());
        piece.map_or(&[], |(start, piece)| &piece[range.start - start..range.end - start])
    }
}

/// Pieces of the arena that a step does not write.
type Rest<'a> = [(usize, &'a [Lanes]); 4];

/// Time of one step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StepTime {
    /// Operator, and those that were joined to it.
    pub operator: String,
    /// Name of the node in the file; empty for a change of layout.
    pub node: String,
    /// Wall time.
    pub seconds: f64,
    /// Multiplications and additions of convolutions, in 1e9.
    pub gflop: f64,
}

/// Runs all steps for one sample; `clock` gets the time of each.
pub(super) fn run(
    plan: &Plan,
    simd: Simd,
    arena: &mut [Lanes],
    (input, output): (&[f32], &mut [f32]),
    mut clock: impl FnMut(&Step, f64),
) {
    for step in &plan.steps {
        let start = Instant::now();
        Runner { plan, simd, step, input }.run(arena, output);
        clock(step, start.elapsed().as_secs_f64());
    }
}

struct Runner<'a> {
    plan: &'a Plan,
    simd: Simd,
    step: &'a Step,
    input: &'a [f32],
}

impl<'a> Runner<'a> {
    fn tensor(&self, id: TensorId) -> &'a Tensor {
        &self.plan.tensors[id]
    }

    fn run(&self, arena: &mut [Lanes], caller: &mut [f32]) {
        let step = self.step;
        let to = self.tensor(step.output);
        let [sums, room] = step.scratch().map(|id| id.map_or(0..0, |id| self.tensor(id).range()));
        let Split { written: [output, sums, room], rest } = Split::new(arena, &[to.range(), sums, room]);
        let other = step
            .other
            .map(|id| Other { lanes: Split::read(&rest, &self.tensor(id).range()), extent: self.tensor(id).extent });
        let epilogue = Epilogue { simd: self.simd, posts: &step.posts, other };
        if to.layout == Layout::Blocked {
            return self.blocked(&rest, output, (sums, room), &epilogue);
        }
        if to.layout == Layout::Half {
            let from = self.tensor(step.input);
            return to_half(Split::read(&rest, &from.range()), from.extent, values_mut(output), to.extent);
        }
        let plain = if to.place == Place::Output { caller } else { &mut values_mut(output)[..to.values()] };
        let from = self.tensor(step.input);
        match &step.kind {
            Kind::Convolve { .. } => self.convolve_plain(&rest, epilogue, plain, room),
            Kind::ToPlain => to_plain(self.simd, Split::read(&rest, &from.range()), from.extent, plain),
            Kind::Border => border(self.plain(&rest, step.input), from.extent, plain, to.extent),
            Kind::Generic(generic) => {
                let other = step.other.map_or(&[][..], |id| self.plain(&rest, id));
                generic.run(self.simd, self.plain(&rest, step.input), other, plain);
            }
            _ => debug_assert!(false, "{} has no plain result", step.operator),
        }
    }

    /// Values of a plain tensor.
    fn plain<'b>(&self, rest: &Rest<'b>, id: TensorId) -> &'b [f32]
    where
        'a: 'b,
    {
        let tensor = self.tensor(id);
        match &tensor.place {
            Place::Input => self.input,
            Place::Constant(data) => data,
            _ => &values(Split::read(rest, &tensor.range()))[..tensor.values()],
        }
    }

    fn convolution<'b>(&self, rest: &Rest<'b>, epilogue: Epilogue<'b>) -> Option<Convolve<'b>>
    where
        'a: 'b,
    {
        let Kind::Convolve { windows, weights, minimal, .. } = &self.step.kind else { return None };
        let minimal = minimal.as_ref().map(|minimal| &minimal.0);
        let from = self.tensor(self.step.input);
        let input = match from.layout {
            Layout::Blocked => Input::Blocked(Split::read(rest, &from.range())),
            Layout::Half => Input::Half(values(Split::read(rest, &from.range()))),
            Layout::Plain => Input::Plain(self.plain(rest, self.step.input)),
        };
        // With a head, the result of the convolution itself has the voxels of the step's output.
        let to = Extent { channels: weights.outputs(), ..self.tensor(self.step.output).extent };
        Some(Convolve::new((windows, weights, minimal), (input, from.extent, to), epilogue))
    }

    fn convolve_plain(&self, rest: &Rest<'_>, epilogue: Epilogue<'_>, output: &mut [f32], room: &mut [Lanes]) {
        let (Some(job), Kind::Convolve { head, .. }) = (self.convolution(rest, epilogue), &self.step.kind) else {
            return;
        };
        let Some(head) = head else { return job.run_plain(None, output, room) };
        let to = self.tensor(self.step.output).extent;
        let (from, epilogue) =
            (head_input(head.weights.inputs()), Epilogue { posts: &head.posts, other: None, ..epilogue });
        let head = Convolve::new((&head.windows, &head.weights, None), (Input::Blocked(&[]), from, to), epilogue);
        job.run_plain(Some(&head), output, room);
    }

    fn blocked(
        &self,
        rest: &Rest<'_>,
        output: &mut [Lanes],
        (scratch, room): (&mut [Lanes], &mut [Lanes]),
        epilogue: &Epilogue<'_>,
    ) {
        let step = self.step;
        let (source, to) = (self.tensor(step.input), self.tensor(step.output).extent);
        let from = source.extent;
        let input = Split::read(rest, &source.range());
        let original: Option<&[Lanes]> = (!step.in_place).then_some(input);
        match &step.kind {
            Kind::Convolve { turns, .. } => {
                let Some(job) = self.convolution(rest, *epilogue) else { return };
                match turns {
                    Some(turns) => job.run_in_place(turns, output, scratch),
                    None => job.run(output, scratch, room),
                }
            }
            Kind::Pool { pooling, axes } => Pool { pooling, axes, from, to, epilogue: *epilogue }.run(input, output),
            Kind::Normalize { groups, epsilon, scale, bias, summed, .. } => {
                let extent: Extent = if step.in_place { to } else { from };
                let (groups, epsilon, epilogue) = (*groups, *epsilon, *epilogue);
                let summed = *summed;
                Normalize { groups, epsilon, scale, bias, extent, to, epilogue, summed }.run(original, output, scratch);
            }
            Kind::Elementwise => elementwise(original.map(|input| (input, from)), output, to, epilogue),
            Kind::Softmax { log } => softmax(original, from, output, (to, *log), epilogue),
            Kind::Take { maps, fill } => take(input, from, output, (to, maps, *fill), epilogue),
            Kind::AddTaken { maps } => {
                if let Some(input) = original {
                    let plain = Epilogue { posts: &[], ..*epilogue };
                    elementwise(Some((input, from)), output, to, &plain);
                }
                let Some(taken) = epilogue.other else { return };
                add_taken(taken.lanes, taken.extent, output, (to, maps), epilogue);
            }
            Kind::Interpolate { axes } => interpolate(input, from, output, (to, axes), epilogue),
            Kind::InterpolateCubic { axes } => interpolate_cubic(input, from, output, (to, axes), epilogue),
            Kind::CopyChannels { first } => copy_channels(input, from, output, to, *first),
            Kind::ToBlocked => to_blocked(self.plain(rest, step.input), from, output, to, epilogue),
            Kind::ToPlain | Kind::ToHalf | Kind::Border | Kind::Generic(_) => debug_assert!(false, "a plain result"),
        }
    }
}
