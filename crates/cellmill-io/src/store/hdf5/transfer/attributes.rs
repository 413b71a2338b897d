//! Attributes made anew in another file.

use super::super::handle::{Fault, Handle, Outcome, check, locked, name};
use super::super::object::Object;
use super::super::values::{Extent, Place};
use super::Side;
use super::buffer::Buffer;
use super::kind::{Content, content, oldest, space};
use hdf5_metno::globals;
use hdf5_metno_sys::h5i::hid_t;
use hdf5_metno_sys::{h5a, h5p, h5t};

/// Copies the attributes of an object to the one at `path`. References are left out: they mean
/// nothing in another file.
pub(crate) fn attributes(from: &Object, at: hid_t, path: &str) -> Result<(), Side> {
    let labels = from.attribute_names().map_err(Side::From)?;
    if labels.is_empty() {
        return Ok(());
    }
    let target = Object::open(at, path)
        .and_then(|object| object.ok_or_else(|| Fault("it is not there".into())))
        .map_err(Side::To)?;
    for label in labels {
        let Some(place) = from.attribute(&label).map_err(Side::From)? else {
            continue;
        };
        attribute(&place, &target, &label)?;
    }
    Ok(())
}

fn attribute(place: &Place, target: &Object, label: &str) -> Result<(), Side> {
    let extent = place.extent().map_err(Side::From)?;
    let c_label = name(label).map_err(Side::From)?;
    locked(|| {
        // SAFETY: the attribute is open; the buffer has room for its values of this type.
        unsafe {
            let look = || -> Outcome<_> {
                let kind = Handle::take(h5a::H5Aget_type(place.id()))?;
                Ok((oldest(&kind)?, content(&kind, 0)?))
            };
            let (kind, content) = look().map_err(Side::From)?;
            if content == Content::References {
                return Ok(());
            }
            let n = match &extent {
                Extent::Null => 0,
                _ => place
                    .plausible(h5t::H5Tget_size(kind.id()))
                    .map_err(Side::From)? as u64,
            };
            let space = space(&extent, None).map_err(Side::From)?;
            let reclaim = content == Content::Varying;
            let mut buffer = Buffer::new(&kind, &space, n, reclaim).map_err(Side::From)?;
            if n > 0 {
                check(h5a::H5Aread(place.id(), kind.id(), buffer.pointer())).map_err(Side::From)?;
            }
            let mut write = || -> Outcome<()> {
                let list = Handle::take(h5p::H5Pcreate(*globals::H5P_ATTRIBUTE_CREATE))?;
                check(h5p::H5Pset_char_encoding(
                    list.id(),
                    h5t::H5T_cset_t::H5T_CSET_UTF8,
                ))?;
                let made = Handle::take(h5a::H5Acreate2(
                    target.id(),
                    c_label.as_ptr(),
                    kind.id(),
                    space.id(),
                    list.id(),
                    h5p::H5P_DEFAULT,
                ))?;
                if n > 0 {
                    check(h5a::H5Awrite(made.id(), kind.id(), buffer.pointer()))?;
                }
                Ok(())
            };
            write().map_err(Side::To)
        }
    })
}
