//! Words of this program's own messages, told from words of names.

use std::collections::BTreeSet;

/// Words of the program's own messages, in lower case and in order.
const PROSE: &str = "\
    absent affine after again all along among an and another apart are as asked assumed at axes axis be becomes \
    belong belongs below between bits but by byte bytes can cannot changed channel channels class classes color \
    columns component components compressed contours convention convert copy corner count counts cut damaged data \
    decoded degrees description differ different dimensions do does drawn each elements empty ends even exact failed \
    far few field file files finite first fit fits floats folder for form format found frame frames from give given \
    gives go grid grids has have header here hold holds id identifier if image images in indices input inputs inside \
    instead interpolated into is it its kept kind known label labels large largest least left length lie lies limit \
    lost made make makes many map may mean missing model more most must name named names nearest need needed needs \
    negative neither never no nor not nothing number numbers object objects of off on once one only onto or order \
    orientation other others out output outside own page pages patch patient per picture pictures pixel pixels place \
    plane planes point position positive present program read reads reference resample resampled right row rows rule \
    same sample samples say says scan score segment segmentation segments series set several shape shorter single \
    size slice slices small so some source spacing start step steps stopped stored structure structures such table \
    take taken takes than that the their them there they this three tilted time to too transfer twice two type under \
    uneven unit up use used valid value values volume volumes voxel voxels wanted was were what where which while \
    whole with without works would write written wrong zero";

/// Those words.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    PROSE.split(' ')
}

/// True for one of those words.
pub(super) fn is_own(word: &str) -> bool {
    words().any(|own| own == word)
}

/// A word of a text that may be a name.
struct Suspect {
    start: usize,
    end: usize,
    is_own: bool,
}

/// Where own words of a message start that are words of names too, as `is_name` tells: in lower case, between spaces and
/// punctuation, outside quotes, and not beside a name that they may be part of.
pub(super) fn own_words(text: &str, is_name: impl Fn(&str) -> bool) -> BTreeSet<usize> {
    let mut suspects: Vec<Suspect> = Vec::new();
    let (mut at, mut is_quoted) = (0, false);
    while let Some(offset) = text[at..].find(char::is_alphanumeric) {
        let start = at + offset;
        is_quoted ^= text[at..start].replace("\\\"", "").matches('"').count() % 2 == 1;
        let end = text[start..].find(|c: char| !c.is_alphanumeric()).map_or(text.len(), |len| start + len);
        let word = &text[start..end];
        if is_name(&word.to_lowercase()) {
            let is_own = !is_quoted && stands_alone(&text[..start], &text[end..]) && is_own(word);
            suspects.push(Suspect { start, end, is_own });
        }
        at = end;
    }
    // Beside a name a word is taken as its next one.
    let beside = |a: &Suspect, b: &Suspect| &text[a.end..b.start] == " ";
    for n in 1..suspects.len() {
        let is_part = !suspects[n - 1].is_own && beside(&suspects[n - 1], &suspects[n]);
        suspects[n].is_own &= !is_part;
    }
    for n in (1..suspects.len()).rev() {
        let is_part = !suspects[n].is_own && beside(&suspects[n - 1], &suspects[n]);
        suspects[n - 1].is_own &= !is_part;
    }
    suspects.into_iter().filter(|suspect| suspect.is_own).map(|suspect| suspect.start).collect()
}

/// True between spaces and punctuation of a sentence, as opposed to the parts of a path.
fn stands_alone(before: &str, after: &str) -> bool {
    let mut after = after.chars();
    let ends = match after.next() {
        None | Some(' ') => true,
        Some(',' | ';' | ':' | '.' | ')') => after.next().is_none_or(|c| matches!(c, ' ' | ';' | ',' | '.' | ':')),
        Some(_) => false,
    };
    ends && before.chars().next_back().is_none_or(|c| matches!(c, ' ' | '('))
}
