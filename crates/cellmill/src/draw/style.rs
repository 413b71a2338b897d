//! Sizes and inks, all from the side of the data area.

use super::Rgb;
use cellmill_engine::{Error, Result};

/// The sizes in pixels of everything but data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// One thousand-two-hundredth of the side: sizes below are given for a side of 1,200 pixels.
    pub(super) unit: f32,
    pub(super) title: f32,
    pub(super) label: f32,
    pub(super) tick: f32,
    pub(super) small: f32,
    pub(super) line: f32,
    /// Text and frame.
    pub(super) ink: Rgb,
    /// Text of less weight.
    pub(super) faint: Rgb,
    /// What halos are drawn in.
    pub(super) paper: Rgb,
}

impl Style {
    /// The style of a data area of `side` pixels on `background` (`None`: transparent, taken to
    /// lie on white).
    ///
    /// # Errors
    /// [`Error::Parameter`] when `side` is not from 64 to 8,192.
    pub(super) fn new(side: u32, background: Option<Rgb>) -> Result<Self> {
        if !(64..=8192).contains(&side) {
            return Err(Error::Parameter(format!(
                "size, the side of the data area, is {side} pixels; expected 64 to 8192"
            )));
        }
        let unit = side as f32 / 1200.0;
        let paper = background.unwrap_or(Rgb::WHITE);
        let ink = if paper.oklab()[0] > 0.6 {
            Rgb::BLACK
        } else {
            Rgb::WHITE
        };
        // Text below 7 pixels cannot be read, whatever the picture's size.
        let text = |px: f32| (px * unit).max(7.0);
        Ok(Self {
            unit,
            title: text(36.0),
            label: text(30.0),
            tick: text(26.0),
            small: text(20.0),
            line: (2.0 * unit).max(0.6),
            ink,
            faint: ink.mix(paper, 0.5),
            paper,
        })
    }
}
