"""Who the drive is and what it can do: INQUIRY, sense, configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc import features as f
from media.mmc import replies
from media.virtual import refusal
from media.virtual.area import Area
from media.virtual.at_once import LONGEST_CUE_SHEET
from media.virtual.commands.table import command
from media.virtual.kinds import FIXED_PACKET
from media.virtual.medium import LINK_BLOCKS
from media.virtual.refusal import Refusal
from media.virtual.storage import BLOCK, Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner

#: INQUIRY is as long as most drives': 96 bytes
_INQUIRY_BYTES = 96
_SPC_3 = 5
_SERIAL_NUMBER_PAGE = 0x80
#: ATAPI, for the core feature (MMC-6 table 91)
_ATAPI = 2
_TRAY = 1
#: Bit N of a data block type list: mode 1 (8) and mode 2 form 1 (10) (MMC-6 table 119)
_DATA_BLOCK_TYPES = 1 << 8 | 1 << 10


@command(c.TestUnitReady)
def test_unit_ready(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    burner.recorder.work_in_background()
    return b""


@command(c.RequestSense, medium=False, always=True)
def request_sense(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    return burner.pending_sense()


@command(c.Inquiry, medium=False, always=True)
def inquiry(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    if cdb.evpd:
        return _vital_product_data(burner, cdb.page_code)
    if cdb.page_code:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    from media.virtual.burner import PRODUCT, REVISION, VENDOR

    built: bytes = replies.InquiryData.build(
        {
            "version": _SPC_3,
            "additional_length": _INQUIRY_BYTES - 5,
            "vendor_identification": VENDOR.encode().ljust(8),
            "product_identification": PRODUCT.encode().ljust(16),
            "product_revision_level": REVISION.encode().ljust(4),
        }
    )
    return built.ljust(_INQUIRY_BYTES, b"\0")


def _vital_product_data(burner: Burner, page: int) -> bytes:
    """SPC-4 7.8: the list of pages, and the serial number."""
    if page == _SERIAL_NUMBER_PAGE:
        body = burner.serial.encode()
    elif page == 0:
        body = bytes([0, _SERIAL_NUMBER_PAGE])
    else:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    built: bytes = replies.VitalProductData.build({"page_code": page, "data": body})
    return built


# -- configuration ------------------------------------------------------------------


@command(c.GetConfiguration, medium=False, always=True)
def get_configuration(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    body = b"".join(
        descriptor for code, current, descriptor in _features(burner) if _wanted(cdb, code, current)
    )
    profile = burner.recorder.medium.kind.profile if burner.loaded else f.NO_PROFILE
    # The length counts what is behind itself: the rest of the header, and all features.
    length = f.FeatureHeader.sizeof() - 4 + len(body)
    header: bytes = f.FeatureHeader.build({"data_length": length, "current_profile": profile})
    return header + body


def _wanted(cdb: Any, code: int, current: bool) -> bool:
    if cdb.requested_type == f.ONE_FEATURE:
        return bool(code == cdb.starting_feature_number)
    if cdb.requested_type == f.CURRENT_FEATURES and not current:
        return False
    return bool(code >= cdb.starting_feature_number)


def _features(burner: Burner) -> list[tuple[int, bool, bytes]]:
    """All features in order: (code, current, descriptor)."""
    disc = burner.loaded
    appendable = disc and not burner.recorder.medium.final
    table = [
        # code, version, persistent, current, data
        (f.PROFILE_LIST, 0, True, True, _profiles(burner)),
        (f.CORE, 2, True, True, _core()),
        (f.MORPHING, 1, True, True, f.MorphingData.build({"operational_change_event": 1})),
        (f.REMOVABLE_MEDIUM, 2, True, True, _removable()),
        (f.RANDOM_READABLE, 0, False, disc, _random_readable()),
        (f.MULTI_READ, 0, False, disc, b""),
        (f.CD_READ, 2, False, disc, f.CdReadData.build({})),
        (f.INCREMENTAL_STREAMING_WRITABLE, 1, False, appendable, _incremental()),
        *(_rewriting(burner) if burner.rewriter else ()),
        (f.CD_TRACK_AT_ONCE, 2, False, appendable, _track_at_once(burner)),
        (f.CD_MASTERING, 0, False, appendable, _mastering(burner)),
        (f.POWER_MANAGEMENT, 0, True, True, b""),
        (f.TIMEOUT, 1, True, True, f.TimeoutData.build({})),
        (f.REAL_TIME_STREAMING, 0, False, disc, _streaming()),
        (f.DRIVE_SERIAL_NUMBER, 0, True, True, _serial(burner)),
    ]
    return [
        (code, current, _descriptor(code, version, persistent, current, body))
        for code, version, persistent, current, body in sorted(table, key=_feature_code)
    ]


Feature = tuple[int, int, bool, bool, bytes]


def _feature_code(feature: Feature) -> int:
    return feature[0]


def _rewriting(burner: Burner) -> list[Feature]:
    """What a drive for CD-RW can besides. Random writing is told of formatted discs,
    in units of a packet, and any block on Mt. Rainier."""
    medium = burner.recorder.medium
    erasable = burner.loaded and medium.kind.erasable
    area = medium.area if burner.loaded else None
    mrw = area is not None and area.mrw
    features: list[Feature] = [
        (f.RANDOM_WRITABLE, 1, False, area is not None, _random_writable(area)),
        (f.FORMATTABLE, 0, False, erasable, f.FormattableData.build({})),
        (f.RESTRICTED_OVERWRITE, 0, False, erasable and not mrw, b""),
    ]
    if burner.mrw:
        data = f.DefectManagementData.build({})
        features.append((f.DEFECT_MANAGEMENT, 0, False, mrw, data))
        features.append((f.MRW, 0, False, erasable, f.MrwData.build({"write": 1})))
    return features


def _random_writable(area: Area | None) -> bytes:
    fields = {
        "last_logical_block_address": area.blocks - 1 if area else 0,
        "logical_block_size": BLOCK,
        "blocking": 1 if area and area.mrw else FIXED_PACKET,
        "page_present": 1,
    }
    built: bytes = f.RandomWritableData.build(fields)
    return built


def _descriptor(code: int, version: int, persistent: bool, current: bool, body: bytes) -> bytes:
    header = {
        "feature_code": code,
        "version": version,
        "persistent": persistent,
        "current": current,
        "additional_length": len(body),
    }
    built: bytes = f.FeatureDescriptor.build({"header": header, "feature_dependent_data": body})
    return built


def _profiles(burner: Burner) -> bytes:
    current = burner.recorder.medium.kind.profile if burner.loaded else f.NO_PROFILE
    profiles = (f.CD_RW, f.CD_R, f.CD_ROM) if burner.rewriter else (f.CD_R, f.CD_ROM)
    return b"".join(
        f.ProfileDescriptor.build({"profile_number": profile, "current_p": profile == current})
        for profile in profiles
    )


def _core() -> bytes:
    built: bytes = f.CoreData.build({"physical_interface_standard": _ATAPI})
    return built


def _removable() -> bytes:
    fields = {"loading_mechanism_type": _TRAY, "load": 1, "eject": 1, "lock": 1}
    built: bytes = f.RemovableMediumData.build(fields)
    return built


def _random_readable() -> bytes:
    fields = {"logical_block_size": BLOCK, "blocking": 1, "page_present": 1}
    built: bytes = f.RandomReadableData.build(fields)
    return built


def _incremental() -> bytes:
    fields = {
        "data_block_types_supported": _DATA_BLOCK_TYPES,
        "buffer_underrun_free": 1,
        "number_of_link_sizes": 1,
    }
    header: bytes = f.IncrementalStreamingWritableData.build(fields)
    return header + bytes([LINK_BLOCKS]).ljust(4, b"\0")


def _track_at_once(burner: Burner) -> bytes:
    rewriter = {"cd_rw": burner.rewriter, "test_write": 1}
    fields = rewriter | {"buffer_underrun_free": 1, "data_type_supported": _DATA_BLOCK_TYPES}
    built: bytes = f.CdTrackAtOnceData.build(fields)
    return built


def _mastering(burner: Burner) -> bytes:
    fields = {
        "buffer_underrun_free": 1,
        "session_at_once": 1,
        "test_write": 1,
        "cd_rw": burner.rewriter,
        "maximum_cue_sheet_length": LONGEST_CUE_SHEET,
    }
    built: bytes = f.CdMasteringData.build(fields)
    return built


def _streaming() -> bytes:
    fields = {"read_buffer_capacity_block": 1, "set_cd_speed": 1, "mode_page_2a": 1}
    built: bytes = f.RealTimeStreamingData.build(fields)
    return built


def _serial(burner: Burner) -> bytes:
    text = burner.serial.encode()
    return text.ljust(len(text) + -len(text) % 4)
