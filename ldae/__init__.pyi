from ldae.api import Model as Model
from ldae.api import load as load

__version__: str
