//! Resampling, normalization and label decision.
fn main() {
    divan::main();
}
