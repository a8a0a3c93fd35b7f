//! Plots that a page draws by itself: sizes are worked out here, so that no style stands in the page.

use super::inert::Inert;

/// Horizontal bars, one a line.
#[derive(Clone, Debug)]
pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,
    pub(super) height: usize,
}

/// One bar, in the units of its drawing.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) name: Inert,
    pub(super) value: String,
    pub(super) y: usize,
    pub(super) text_y: usize,
    pub(super) width: u64,
    pub(super) value_x: u64,
}

impl Bars {
    /// Bars for these names, amounts, and amounts in words.
    pub(super) fn new(values: Vec<(Inert, u64, String)>) -> Self {
        let most = values.iter().map(|(_, amount, _)| *amount).max().unwrap_or(0).max(1);
        let height = values.len() * LINE;
        let bar = |(index, (name, amount, value)): (usize, (Inert, u64, String))| {
            let y = index * LINE + 3;
            let width = (amount * BAR_WIDTH).div_ceil(most);
            Bar { name, value, y, text_y: y + 14, width, value_x: BAR_X + width + 6 }
        };
        Self { bars: values.into_iter().enumerate().map(bar).collect(), height }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bars.iter().all(|bar| bar.width == 0)
    }
}

/// Columns of four parts each, one a day.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) columns: Vec<Column>,
    pub(super) most: u64,
}

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether its name is written below it.
    pub(super) named: bool,
    pub(super) words: String,
    pub(super) x: usize,
    pub(super) middle: usize,
    pub(super) parts: Vec<Part>,
}

/// One part of a column.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) look: &'static str,
    pub(super) y: u64,
    pub(super) height: u64,
}

impl Stack {
    /// Columns for these names and amounts: approved, denied, undecided, pending.
    pub(super) fn new(values: Vec<(String, [u64; 4])>) -> Self {
        let most = values.iter().map(|(_, amounts)| amounts.iter().sum()).max().unwrap_or(0);
        let last = values.len().saturating_sub(1);
        let column = |(index, (name, amounts)): (usize, (String, [u64; 4]))| {
            let (x, mut y, mut parts) = (index * COLUMN, STACK_HEIGHT, Vec::new());
            for (amount, look) in amounts.into_iter().zip(LOOKS) {
                if amount > 0 {
                    let height = (amount * STACK_HEIGHT / most.max(1)).max(1);
                    y = y.saturating_sub(height);
                    parts.push(Part { look, y: y + 4, height });
                }
            }
            let words: Vec<String> =
                amounts.iter().zip(LOOKS).map(|(amount, look)| format!("{amount} {look}")).collect();
            let words = format!("{name}: {}", words.join(", "));
            Column { named: (last - index).is_multiple_of(4), name, words, x: x + 2, middle: x + COLUMN / 2, parts }
        };
        Self { most, columns: values.into_iter().enumerate().map(column).collect() }
    }
}

const LINE: usize = 26;
const BAR_X: u64 = 120;
const BAR_WIDTH: u64 = 170;
const COLUMN: usize = 26;
const STACK_HEIGHT: u64 = 120;
const LOOKS: [&str; 4] = ["approved", "denied", "undecided", "pending"];
