"""The layers that ship, one definition file each.  Add a file and a line here."""

from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.layers.layer_norm import LAYER_NORM
from derive.layers.rms_norm import RMS_NORM
from derive.layers.softmax import SOFTMAX

LAYERS: dict[str, Layer] = {
    layer.name: layer for layer in (BATCH_NORM, LAYER_NORM, RMS_NORM, SOFTMAX)
}
