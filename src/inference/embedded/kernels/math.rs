//! Elementary functions without branches or calls, so that loops over them become vector code. NaN stays NaN.

/// 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `exp(x)` within 2 units in the last place (range reduction by ln 2 in two parts, polynomial of degree 6; Cody and
/// Waite, Software Manual for the Elementary Functions, 1980, chapter 6). Results below 1e-38 are zero or 1e-38.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let clamped = if x < -87.3 { -87.3 } else { x };
    let clamped = if clamped > 88.7 { 88.7 } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.0 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    let value = p * scale;
    let value = if x > 88.722_84 { f32::INFINITY } else { value };
    if x < -103.972_08 { 0.0 } else { value }
}

/// The error function within 2e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26; near zero its
/// Taylor series, which keeps the relative error small).
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let mut p = 1.061_405_4;
    for c in [-1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6, 0.0] {
        p = p * t + c;
    }
    let far = 1.0 - p * exp(-a * a);
    let s = a * a;
    let mut q = 1.0 / 216.0;
    for c in [-1.0 / 42.0, 0.1, -1.0 / 3.0, 1.0] {
        q = q * s + c;
    }
    let near = std::f32::consts::FRAC_2_SQRT_PI * a * q;
    let value = if a < 0.4 { near } else { far };
    if x < 0.0 { -value } else { value }
}

/// `1 / (1 + exp(-x))`
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent within 2e-7.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let s = x * x;
    let near = x * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 - s * (17.0 / 315.0))));
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if s < 0.04 { near } else { far }
}

/// `x tanh(ln(1 + exp(x)))`
#[inline(always)]
pub(crate) fn mish(x: f32) -> f32 {
    let e = exp(if x > 20.0 { 20.0 } else { x });
    let n = e * (e + 2.0);
    x * (n / (n + 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within `tolerance` of the exact value, of which at least `least` is taken.
    fn check(name: &str, ours: fn(f32) -> f32, exact: fn(f64) -> f64, (tolerance, least): (f64, f64)) {
        for i in -17_300..=17_300 {
            let x = i as f32 * 0.005;
            let (a, b) = (f64::from(ours(x)), exact(f64::from(x)));
            assert!((a - b).abs() <= tolerance * b.abs().max(least), "{name}({x}) = {a}, not {b}");
        }
        assert!(ours(f32::NAN).is_nan(), "{name}");
    }

    #[test]
    fn functions_agree_with_those_of_the_standard_library() {
        check("exp", exp, f64::exp, (2.4e-7, 0.0));
        check("tanh", tanh, f64::tanh, (1e-6, 1e-3));
        check("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), (5e-7, 0.0));
        check("mish", mish, |x| x * x.exp().ln_1p().tanh(), (1e-5, 1e-3));
        assert_eq!((exp(100.0), exp(-200.0), exp(f32::INFINITY)), (f32::INFINITY, 0.0, f32::INFINITY));
    }

    /// Table 7.1 of Abramowitz and Stegun.
    #[test]
    fn erf_agrees_with_the_table() {
        for (x, y) in [
            (0.0, 0.0),
            (0.02, 0.022_564_575),
            (0.1, 0.112_462_916),
            (0.38, 0.409_009_45),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (1.5, 0.966_105_15),
            (2.0, 0.995_322_3),
            (4.0, 1.0),
        ] {
            assert!((erf(x) - y).abs() < 3e-7 && (erf(-x) + y).abs() < 3e-7, "{x}: {} not {y}", erf(x));
        }
        assert!(erf(f32::NAN).is_nan());
    }
}
