//! A stroke font of our own: each glyph is a few polylines on a grid, drawn at any size with smooth edges.

/// Grid units from the top of a capital to the baseline.
pub(super) const CAPITAL: f32 = 6.0;
/// Grid units between two glyphs.
const GAP: f32 = 1.7;
/// Grid units of a space.
const SPACE: f32 = 2.2;

/// Character, width in grid units, polylines: points are pairs of digits x y, y grows downwards, 6 is the baseline.
const GLYPHS: &[(char, f32, &str)] = &[
    ('A', 4.0, "062046 1434"),
    ('B', 4.0, "06003041423303 3344453606"),
    ('C', 4.0, "4130100105163645"),
    ('D', 4.0, "00304145360600"),
    ('E', 3.0, "30000636 0323"),
    ('F', 3.0, "300006 0323"),
    ('G', 4.0, "41301001051636454323"),
    ('H', 4.0, "0006 4046 0343"),
    ('I', 2.0, "0020 1016 0626"),
    ('J', 3.0, "3035261605"),
    ('K', 4.0, "0006 400346"),
    ('L', 3.0, "000636"),
    ('M', 4.0, "0600234046"),
    ('N', 4.0, "06004640"),
    ('O', 4.0, "103041453616050110"),
    ('P', 4.0, "06003041423303"),
    ('Q', 4.0, "103041453616050110 2446"),
    ('R', 4.0, "06003041423303 2346"),
    ('S', 4.0, "413010010213334445361605"),
    ('T', 4.0, "0040 2026"),
    ('U', 4.0, "000516364540"),
    ('V', 4.0, "002640"),
    ('W', 6.0, "0016315660"),
    ('X', 4.0, "0046 4006"),
    ('Y', 4.0, "002340 2326"),
    ('Z', 4.0, "00400646"),
    ('a', 3.0, "02223336 341405162635"),
    ('b', 3.0, "0006 0312223335261605"),
    ('c', 3.0, "3322120305162635"),
    ('d', 3.0, "3036 3322120305162635"),
    ('e', 3.0, "04343322120305162635"),
    ('f', 2.0, "201116 0222"),
    ('g', 3.0, "3237281807 3322120305162635"),
    ('h', 3.0, "0006 0312223336"),
    ('i', 0.0, "0206 0000"),
    ('j', 1.0, "121708 1010"),
    ('k', 3.0, "0006 320436"),
    ('l', 1.0, "000516"),
    ('m', 6.0, "0206 0312223336 3342526366"),
    ('n', 3.0, "0206 0312223336"),
    ('o', 3.0, "122233352616050312"),
    ('p', 3.0, "0208 0312223335261605"),
    ('q', 3.0, "3238 3322120305162635"),
    ('r', 2.0, "0206 031222"),
    ('s', 3.0, "3212031424352606"),
    ('t', 2.0, "101526 0222"),
    ('u', 3.0, "0205162635 3236"),
    ('v', 4.0, "022642"),
    ('w', 6.0, "0216335662"),
    ('x', 3.0, "0236 3206"),
    ('y', 3.0, "0205162635 32372808"),
    ('z', 3.0, "02320636"),
    ('0', 4.0, "103041453616050110"),
    ('1', 4.0, "112026 1636"),
    ('2', 4.0, "01103041420646"),
    ('3', 4.0, "01103041423313 334445361605"),
    ('4', 4.0, "36300444"),
    ('5', 4.0, "400003334445361605"),
    ('6', 4.0, "413010010516364544331304"),
    ('7', 4.0, "004016"),
    ('8', 4.0, "13020110304142331304051636454433"),
    ('9', 4.0, "051636454130100102133342"),
    ('-', 2.0, "0424"),
    ('_', 4.0, "0747"),
    ('.', 0.0, "0606"),
    (',', 1.0, "1607"),
    (':', 0.0, "0303 0606"),
    (';', 1.0, "1313 1607"),
    ('!', 0.0, "0004 0606"),
    ('?', 3.0, "011020313213 1414 1616"),
    ('\'', 0.0, "0002"),
    ('"', 1.0, "0002 1012"),
    ('(', 1.0, "10010516"),
    (')', 1.0, "00111506"),
    ('[', 1.0, "10000616"),
    (']', 1.0, "00101606"),
    ('/', 3.0, "0630"),
    ('+', 4.0, "0444 2226"),
    ('=', 3.0, "0333 0535"),
    ('%', 4.0, "0640 0000 4646"),
    ('&', 4.0, "4613011020310405162644"),
    ('#', 4.0, "1006 4036 0242 0444"),
    ('<', 3.0, "320436"),
    ('>', 3.0, "023406"),
    ('*', 4.0, "0242 1034 3014"),
];

/// The width of a glyph in grid units and its polylines; unknown characters are drawn as a question mark.
fn glyph(character: char) -> (f32, &'static str) {
    let find = |c: char| GLYPHS.iter().find(|glyph| glyph.0 == c).map(|glyph| (glyph.1, glyph.2));
    if character.is_whitespace() {
        (SPACE - GAP, "")
    } else {
        find(character).or_else(|| find('?')).unwrap_or((0.0, ""))
    }
}

/// Width of a text in grid units.
pub(super) fn width(text: &str) -> f32 {
    (text.chars().map(|c| glyph(c).0 + GAP).sum::<f32>() - GAP).max(0.0)
}

/// Calls `segment` with both ends of every stroke of a text, in grid units from its top left.
pub(super) fn strokes(text: &str, mut segment: impl FnMut([f32; 2], [f32; 2])) {
    let mut left = 0.0;
    for character in text.chars() {
        let (width, lines) = glyph(character);
        for line in lines.split(' ').filter(|line| !line.is_empty()) {
            let digit = |byte: u8| f32::from(byte.saturating_sub(b'0'));
            let points: Vec<_> = line.as_bytes().chunks_exact(2).map(|p| [left + digit(p[0]), digit(p[1])]).collect();
            for pair in points.windows(2) {
                segment(pair[0], pair[1]);
            }
        }
        left += width + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_glyph_stays_in_its_box_and_occurs_once() {
        let mut seen = std::collections::BTreeSet::new();
        for (character, width, lines) in GLYPHS {
            assert!(seen.insert(character), "{character} twice");
            for line in lines.split(' ') {
                assert!(line.len() % 2 == 0 && line.len() >= 4, "{character}: {line}");
                for point in line.as_bytes().chunks(2) {
                    let (x, y) = (f32::from(point[0] - b'0'), f32::from(point[1] - b'0'));
                    assert!(x <= *width && y <= 8.0, "{character} leaves its box");
                }
            }
        }
        assert!(('a'..='z').chain('A'..='Z').chain('0'..='9').all(|c| seen.contains(&c)));
    }

    #[test]
    fn widths_add_up_and_any_text_can_be_drawn() {
        assert_eq!(width(""), 0.0);
        assert!((width("AA") - 2.0 * width("A") - GAP).abs() < 1e-6);
        let mut count = 0;
        strokes("\u{e4}\n\u{1f600} B", |_, _| count += 1);
        assert!(count > 10);
    }
}
