from ldae.api import Decoded as Decoded
from ldae.api import Model as Model
from ldae.api import Prediction as Prediction
from ldae.api import load as load

__version__: str
