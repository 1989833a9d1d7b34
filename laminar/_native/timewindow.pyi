import numpy as np
import numpy.typing as npt

def tumble_start(times: npt.NDArray[np.int64], size: int, offset: int) -> npt.NDArray[np.int64]: ...
